"""`relay status --watch`: the same look again and again, through a database that goes away."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.relay.events import connected, emit
from tests.support.kafka import Broker
from tests.support.processes import StartRelay, environment
from tests.support.terminal import HEEDING_CTRL_C, on_a_terminal

ENDS_OTHERS = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = %s"


@contextmanager
def watching(url: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    command = [*HEEDING_CTRL_C, "status", "--watch", "0.5", *args]
    process = subprocess.Popen(
        command,
        env=environment(url, ""),
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def frame(process: subprocess.Popen[str]) -> dict[str, object]:
    assert process.stdout is not None
    found: dict[str, object] = json.loads(process.stdout.readline())
    return found


def test_each_look_is_a_line_and_sees_what_came_meanwhile(database_url: str) -> None:
    with watching(database_url, "--json") as process:
        assert frame(process)["pending"] == 0
        emit(database_url, "t", count=3)
        while frame(process)["pending"] != 3:
            pass


def test_it_goes_on_when_its_connection_was_lost(database_url: str) -> None:
    with watching(database_url, "--json") as process:
        frame(process)
        with connected(database_url) as connection:
            connection.execute(ENDS_OTHERS, ("relay status",))
        while "error" not in frame(process):
            pass
        assert frame(process)["pending"] == 0


def test_ctrl_c_ends_it_well(database_url: str) -> None:
    with watching(database_url, "--json") as process:
        frame(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_it_says_how_the_leader_delivers(
    database_url: str, mock_broker: Broker, relay_process: StartRelay, delivery: str
) -> None:
    servers = mock_broker.bootstrap_servers
    relay = relay_process(database_url, servers, RELAY_DELIVERY=delivery)
    line = relay.wait_for_log("leading")
    assert (line["delivery"], line["envelope"]) == (delivery, "cloudevents")
    with watching(database_url, "--json") as process:
        found = frame(process)
    assert (found["delivery"], found["envelope"]) == (delivery, "cloudevents")


def test_on_a_terminal_the_last_column_stays_free(database_url: str) -> None:
    with connected(database_url) as connection:
        connection.execute(
            "update outbox.lease set blocked_event = gen_random_uuid(), blocked_since = now(),"
            " blocked_reason = repeat('word ', 60)"
        )
    seen = on_a_terminal(
        "status",
        "--watch",
        "0.5",
        columns=80,
        environment=environment(database_url, ""),
        stop=lambda came: came.count("pending") >= 2,
    )
    assert seen.exit_code == 0
    assert "word word" in seen.last
    assert seen.widest < 80
