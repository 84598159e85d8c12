"""`relay tail`: what is published from now on, in its order, and no more than was asked for."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from relay.cli.tail import EVENTS_AT_ONCE_MAX
from relay.postgres.cursor_store import PostgresCursorStore
from tests.relay.events import connected, emit
from tests.relay.leader import closed, leading
from tests.support.processes import environment
from tests.support.terminal import HEEDING_CTRL_C
from tests.support.wait import until

Tail = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def leader(database_url: str) -> Iterator[PostgresCursorStore]:
    with leading(database_url) as store:
        emit(database_url, "before")
        closed(store)
        yield store


@pytest.fixture
def tail(database_url: str) -> Iterator[Tail]:
    started: list[subprocess.Popen[str]] = []

    def start(*args: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*HEEDING_CTRL_C, "tail", *args],
            env=environment(database_url, ""),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        started.append(process)

        def has_looked() -> bool:
            with connected(database_url) as connection:
                rows = connection.execute(
                    "select from pg_stat_activity where application_name = 'relay tail'"
                    " and state = 'idle' and query ilike '%parked_action%'"
                ).fetchall()
            return bool(rows)

        until(has_looked, what="the first look")
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def lines(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    out, _ = process.communicate(timeout=60)
    return [json.loads(line) for line in out.splitlines()]


def test_it_shows_what_is_published_from_now_on_in_its_order(
    database_url: str, leader: PostgresCursorStore, tail: Tail
) -> None:
    process = tail("--json", "--count", "5")
    first = emit(database_url, "t", count=3)
    closed(leader)
    second = emit(database_url, "t", count=2)
    closed(leader)
    assert [one["id"] for one in lines(process)] == first + second


def test_nothing_is_called_passed_over_where_nothing_is(
    database_url: str, leader: PostgresCursorStore, tail: Tail
) -> None:
    many = EVENTS_AT_ONCE_MAX
    process = tail("--count", str(many + 1))
    emit(database_url, "t", count=many)
    closed(leader)
    assert process.stdout is not None
    for _ in range(many):
        process.stdout.readline()
    emit(database_url, "t")
    closed(leader)
    _, said = process.communicate(timeout=60)
    assert said == ""


def test_what_is_not_published_yet_is_not_shown(
    database_url: str, leader: PostgresCursorStore, tail: Tail
) -> None:
    process = tail("--json", "--count", "2")
    emit(database_url, "published")
    closed(leader)
    emit(database_url, "waits")
    leader.open_next(leader.load().cursor)
    emit(database_url, "after")
    leader.save(leader.load().cursor.finished(), unblocks=False)
    assert [one["topic"] for one in lines(process)] == ["published", "waits"]


@pytest.mark.parametrize(
    ("asked", "more"),
    [
        ((), {}),
        (("--with-key",), {"key": "customer-42"}),
        (("--with-payload",), {"payload": "\\xff{}"}),
    ],
)
def test_key_and_payload_are_shown_by_choice_alone(
    database_url: str,
    leader: PostgresCursorStore,
    tail: Tail,
    asked: tuple[str, ...],
    more: dict[str, str],
) -> None:
    process = tail("--json", "--count", "1", *asked)
    emit(database_url, "t", key="customer-42", payload=b"\xff{}")
    closed(leader)
    (one,) = lines(process)
    named = {"id", "topic", "type", "time", "place", "content_type"}
    assert {name: one[name] for name in one.keys() - named} == more


@pytest.mark.parametrize("chosen", [("--topic", "t"), ("--key", "a"), ("--type", "x.y")])
def test_it_can_be_narrowed(
    database_url: str, leader: PostgresCursorStore, tail: Tail, chosen: tuple[str, str]
) -> None:
    process = tail("--json", "--count", "1", *chosen)
    emit(database_url, "other", key="b")
    with connected(database_url) as connection:
        connection.execute("insert into outbox.event (topic, key, type) values ('t', 'a', 'x.y')")
    closed(leader)
    (one,) = lines(process)
    assert (one["topic"], one["type"]) == ("t", "x.y")


def test_it_goes_on_through_a_lost_connection_without_a_gap(
    database_url: str, leader: PostgresCursorStore, tail: Tail
) -> None:
    process = tail("--json", "--count", "1")
    with connected(database_url) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'relay tail'"
        )
    (event,) = emit(database_url, "t")
    closed(leader)
    assert [one["id"] for one in lines(process)] == [event]


def test_nothing_in_an_event_is_obeyed_by_the_terminal_and_ctrl_c_ends_it_well(
    database_url: str, leader: PostgresCursorStore, tail: Tail
) -> None:
    process = tail("--with-key", "--with-payload")
    emit(database_url, "t", key="k\x1b[2J", payload=b"\x1b]0;title\x07\n\x1b[H")
    closed(leader)
    assert process.stdout is not None
    said = process.stdout.readline() + process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert "\x1b" not in said
    assert "\\x1b]0;title\\x07\\n\\x1b[H" in said
