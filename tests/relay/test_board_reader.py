"""The look at the database that feeds the page: what it finds, and what it never reads."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict

from relay.core.board import BEHIND_COUNTED_MAX, WAITING_MAX, Board
from relay.postgres.board_reader import read_board
from relay.postgres.connect import connect
from relay.postgres.lease_store import PostgresLeaseStore
from tests.relay.events import connected, emit, value_of
from tests.relay.leader import OWNER, closed, leading, opened

KEY = "jane.doe@example.org"
PUT = (
    "insert into outbox.parked (position, id, topic, key, reason, type, content_type, headers,"
    " created_at) select n, gen_random_uuid(), %s, %s, 'too large', 't.t', 'c', '{}', now()"
    " from generate_series(%s::int, %s) n"
)


def look(url: str) -> Board:
    with closing(connect(url, "status")) as connection:
        return read_board(connection)


def last_position(url: str) -> int:
    return int(value_of(url, "select last_value from outbox.event_position"))


def hold(url: str, topic: str, key: str | None, events: int, first: int = 1) -> None:
    """A held key or topic with so many parked events of it."""
    with connected(url) as connection:
        connection.execute(
            "insert into outbox.hold (topic, key, event_id, reason)"
            " values (%s, %s, gen_random_uuid(), 'too large')",
            (topic, key),
        )
        connection.execute(PUT, (topic, key, first, first + events - 1))


def test_nothing_is_passed_in_a_new_outbox(database_url: str) -> None:
    assert look(database_url).passed == 0


def test_a_closed_window_is_passed_whole(database_url: str) -> None:
    with leading(database_url) as store:
        emit(database_url, "t", count=5)
        closed(store)
        assert look(database_url).passed == last_position(database_url)


def test_a_window_that_was_just_opened_takes_nothing_back_of_the_ones_before(
    database_url: str,
) -> None:
    with leading(database_url) as store:
        emit(database_url, "t", count=5)
        closed(store)
        before = last_position(database_url)
        emit(database_url, "t", count=5)
        opened(store)
        assert look(database_url).passed == before


def test_inside_a_window_it_is_passed_as_far_as_was_published(database_url: str) -> None:
    with leading(database_url) as store:
        emit(database_url, "t", count=5)
        window = opened(store)
        store.save(window.cursor.advanced(last_position(database_url) - 2), unblocks=False)
        assert look(database_url).passed == last_position(database_url) - 2


def test_who_leads_and_who_stands_by_is_known_by_their_sessions(database_url: str) -> None:
    standby = PostgresLeaseStore(lambda: database_url)
    with leading(database_url), closing(standby):
        standby.acquire("other/2/cd")
        board = look(database_url)
    assert board.status.leader == OWNER
    assert {one.name for one in board.relays} == {OWNER, "other/2/cd"}
    (one,) = board.standbys
    assert one.name == "other/2/cd"
    assert 0.0 <= (one.since_seconds or -1.0) < 60.0


def test_a_relay_with_a_long_name_is_found_by_as_much_of_it_as_fits(database_url: str) -> None:
    with leading(database_url, owner="h" * 70 + "/1/ab"):
        board = look(database_url)
    assert (len(board.relays), board.standbys) == (1, ())


def test_what_waits_is_told_by_its_scope(database_url: str) -> None:
    hold(database_url, "keyed", KEY, 3)
    hold(database_url, "whole", None, 2, first=11)
    with connected(database_url) as connection:
        connection.execute(PUT, ("keyless", None, 21, 21))
    found = {one.topic: (one.scope, one.events) for one in look(database_url).waiting}
    assert found == {"keyed": ("key", 3), "whole": ("topic", 2), "keyless": ("event", 1)}


def test_no_key_is_read(database_url: str) -> None:
    hold(database_url, "t", KEY, 3)
    assert "jane" not in str(asdict(look(database_url)))


def test_no_more_is_counted_behind_a_key_than_is_told(database_url: str) -> None:
    hold(database_url, "t", KEY, BEHIND_COUNTED_MAX + 500)
    (one,) = look(database_url).waiting
    assert (one.events, one.events_is_at_least) == (BEHIND_COUNTED_MAX, True)


def test_those_that_wait_longest_are_told_where_too_many_wait(database_url: str) -> None:
    for number in range(WAITING_MAX + 5):
        hold(database_url, f"t{number}", KEY, 1, first=number + 1)
    topics = {one.topic for one in look(database_url).waiting}
    assert topics == {f"t{number}" for number in range(WAITING_MAX)}
