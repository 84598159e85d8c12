"""`relay top` on a terminal, and where there is none."""

from __future__ import annotations

import json

import pytest

from relay.demo.embedded_postgres import free_port
from tests.cli.command import relay
from tests.relay.events import connected, emit
from tests.relay.leader import leading
from tests.support.kafka import Broker
from tests.support.processes import StartRelay, environment
from tests.support.terminal import on_a_terminal

HOSTILE = "x\x1b[2J\nLEADER none\u202e"


def hold(url: str) -> None:
    with connected(url) as connection:
        connection.execute(
            "insert into outbox.hold (topic, key, reason, paused_by) values ('t', 'k', %s, 'me')",
            (HOSTILE,),
        )


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal_and_nothing_of_others_is_obeyed(
    database_url: str, mock_broker: Broker, columns: int
) -> None:
    hold(database_url)
    seen = on_a_terminal(
        "top",
        "--every",
        "0.5",
        columns=columns,
        environment=environment(database_url, mock_broker.bootstrap_servers),
        stop=lambda came: came.count("leader") >= 3,
    )
    assert seen.exit_code == 0
    assert seen.widest < columns
    # Cleared once at the beginning, and never by what a row of the database says.
    assert seen.raw.count("\x1b[2J") == 1
    assert "WAITS" in seen.last
    assert "\u202e" not in seen.raw


def test_where_there_is_no_terminal_it_is_one_screen(
    database_url: str, mock_broker: Broker, relay_process: StartRelay
) -> None:
    servers = mock_broker.bootstrap_servers
    relay_process(database_url, servers).wait_for_log("leading")
    outcome = relay("top", "--every", "0.5", database_url=database_url, bootstrap_servers=servers)
    assert outcome.exit_code == 0, outcome.said
    assert outcome.out.count("leader") == 1
    assert "at-least-once" in outcome.out
    assert "\x1b" not in outcome.out


def test_as_json_it_has_a_rate_and_both_latencies(database_url: str, mock_broker: Broker) -> None:
    emit(database_url, "t", count=3)
    outcome = relay(
        "top",
        "--every",
        "0.5",
        "--json",
        database_url=database_url,
        bootstrap_servers=mock_broker.bootstrap_servers,
    )
    found = json.loads(outcome.out)
    assert found["board"]["status"]["pending"] == 3
    assert found["rate"] == 0.0
    assert 0 < found["database_seconds"] < 10
    assert 0 < found["broker_seconds"] < 10


def test_without_a_broker_the_database_is_shown_all_the_same(database_url: str) -> None:
    outcome = relay(
        "top",
        "--every",
        "0.5",
        database_url=database_url,
        unset="RELAY_KAFKA_BOOTSTRAP_SERVERS",
    )
    assert outcome.exit_code == 0
    assert "broker not configured here" in outcome.out


def test_a_broker_that_is_away_is_the_headline_and_its_reason_is_not_cut(database_url: str) -> None:
    emit(database_url, "t")
    with leading(database_url):
        outcome = relay(
            "top",
            "--every",
            "0.5",
            database_url=database_url,
            bootstrap_servers=f"127.0.0.1:{free_port()}",
        )
    assert outcome.out.startswith("No broker answers; 1 event waits")
    assert "broker away" in outcome.out
    assert "Connection refused" in " ".join(outcome.out.split())
