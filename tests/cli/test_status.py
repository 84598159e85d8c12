"""`relay status`: the truth about what waits, at every moment of a window's life."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from relay.core.snapshot import Snapshot
from relay.core.window import Window
from relay.postgres.cursor_store import PostgresCursorStore
from tests.cli.command import relay, status
from tests.relay.events import connected, emit, value_of
from tests.relay.leader import OWNER, closed, leading, opened


@pytest.fixture
def leader(database_url: str) -> Iterator[PostgresCursorStore]:
    """The log of windows, as the leader of term 1 writes it."""
    with leading(database_url) as store:
        yield store


def test_it_has_these_keys_and_nobody_leads_a_new_outbox(database_url: str) -> None:
    found = status(database_url)
    assert found.pop("retained").keys() == {"ring_bytes", "leaves_in_use", "oldest_kept_seconds"}
    assert found == {
        "pending": 0,
        "pending_is_at_least": False,
        "oldest_pending_seconds": 0.0,
        "leader": None,
        "term": 0,
        "parked": 0,
        "held": 0,
        "window": 0,
        "blocked": None,
        "blockers": {"named": [], "hidden": 0},
        "delivery": None,
        "envelope": None,
    }


def test_committed_events_are_pending_and_others_are_not(database_url: str) -> None:
    emit(database_url, "t", count=7)
    with psycopg.connect(database_url) as open_transaction:
        open_transaction.execute("select outbox.emit('t', 'k', 'happened', '')")
        assert status(database_url)["pending"] == 7


def test_events_of_an_open_window_are_pending_until_the_cursor_is_past_them(
    database_url: str, leader: PostgresCursorStore
) -> None:
    emit(database_url, "t", count=10)
    cursor = opened(leader).cursor
    emit(database_url, "t", count=5)
    assert status(database_url)["pending"] == 15

    sixth = value_of(database_url, "select min(position) + 5 from outbox.event")
    cursor = leader.save(cursor.advanced(sixth), unblocks=False).cursor
    assert status(database_url)["pending"] == 9

    cursor = leader.save(cursor.finished(), unblocks=False).cursor
    assert status(database_url)["pending"] == 5

    leader.open_next(cursor)
    assert status(database_url)["pending"] == 5


def test_an_event_that_commits_late_is_pending_though_its_position_is_low(
    database_url: str, leader: PostgresCursorStore
) -> None:
    with psycopg.connect(database_url) as late:
        late.execute("select outbox.emit('t', 'k', 'happened', '')")
        emit(database_url, "t", count=3)
        closed(leader)
        assert status(database_url)["pending"] == 0
    assert status(database_url)["pending"] == 1


def test_the_oldest_pending_event_tells_the_age(
    database_url: str, leader: PostgresCursorStore
) -> None:
    with connected(database_url) as connection:
        connection.execute(
            "insert into outbox.event (topic, type, created_at)"
            " select 't', 'happened', now() - n * interval '100 s' from generate_series(1, 3) n"
        )
    assert 300 <= status(database_url)["oldest_pending_seconds"] < 360


def test_the_leader_is_named_while_its_lease_lasts_and_the_term_stays(
    database_url: str, leader: PostgresCursorStore
) -> None:
    found = status(database_url)
    assert (found["leader"], found["term"]) == (OWNER, 1)
    with connected(database_url) as connection:
        connection.execute("update outbox.lease set expires_at = clock_timestamp()")
    found = status(database_url)
    assert (found["leader"], found["term"]) == (None, 1)


def test_a_blocked_event_is_named_with_reason_and_age_until_it_is_accepted(
    database_url: str, leader: PostgresCursorStore
) -> None:
    (event_id,) = emit(database_url, "t")
    cursor = opened(leader).cursor
    leader.report_blocked(event_id, "the topic does not exist")
    blocked = status(database_url)["blocked"]
    assert blocked["event_id"] == event_id
    assert blocked["reason"] == "the topic does not exist"
    assert 0 <= blocked["since_seconds"] < 60

    leader.save(cursor.finished(), unblocks=True)
    assert status(database_url)["blocked"] is None


def test_parked_events_are_counted(database_url: str) -> None:
    with connected(database_url) as connection:
        connection.execute(
            "insert into outbox.parked"
            " (position, id, topic, reason, type, content_type, headers, created_at)"
            " values (1, gen_random_uuid(), 't', 'too large', 't', 'c', '{}', now())"
        )
    assert status(database_url)["parked"] == 1


def test_it_says_how_large_the_ring_is_and_how_old_its_oldest_event(database_url: str) -> None:
    empty = status(database_url)["retained"]
    assert (empty["leaves_in_use"], empty["oldest_kept_seconds"]) == (0, None)
    with connected(database_url) as connection:
        connection.execute(
            "insert into outbox.event (topic, type, created_at)"
            " select 't', 'happened', now() - n * interval '100 s' from generate_series(3, 1, -1) n"
        )
    found = status(database_url)["retained"]
    assert found["leaves_in_use"] == 1
    assert 300 <= found["oldest_kept_seconds"] < 360
    assert found["ring_bytes"] > empty["ring_bytes"]


def test_a_person_reads_the_same_figures(database_url: str, leader: PostgresCursorStore) -> None:
    (event_id,) = emit(database_url, "t")
    leader.report_blocked(event_id, "too large")
    said = relay("status", database_url=database_url).out
    assert "pending   1\n" in said
    assert f"leader    {OWNER}\n" in said
    assert f"BLOCKED   by event {event_id}" in said


def test_pending_agrees_with_the_rule_of_windows(
    database_url: str, leader: PostgresCursorStore
) -> None:
    """Counted by ranges, and judged row by row: the same number."""
    with psycopg.connect(database_url) as first, psycopg.connect(database_url) as second:
        for connection in (first, second):
            connection.execute("select outbox.emit('t', 'k', 'happened', '')")
        emit(database_url, "t", count=4)
        cursor = closed(leader)
        first.commit()
        emit(database_url, "t", count=2)
        now = Snapshot.parse(value_of(database_url, "select pg_current_snapshot()::text"))
        with connected(database_url) as reader:
            rows = reader.execute("select txid::text::bigint from outbox.event").fetchall()
        expected = sum(Window(cursor.until, now).holds(txid) for (txid,) in rows)
        assert status(database_url)["pending"] == expected == 3
