"""CursorStore and PageSource: each case on the fake and on PostgreSQL."""

from __future__ import annotations

import pytest

from relay.core.inputs import Loaded, NothingAhead
from relay.errors import Fenced
from tests.contract.conftest import World
from tests.contract.outbox import event_id, leading, numbers_of, opened, read, write

# A fresh database


def test_a_fresh_database_has_a_closed_window_that_saw_nothing(world: World) -> None:
    loaded = leading(world).load()

    assert loaded.pages == ()
    assert (loaded.cursor.number, loaded.cursor.step, loaded.cursor.closed) == (0, 0, True)
    assert str(loaded.cursor.until) == "1:1:"


def test_nothing_is_stored_while_there_is_nothing_to_publish(world: World) -> None:
    store = leading(world)
    before = store.load()

    assert store.open_next(before.cursor) == NothingAhead()
    assert store.load() == before


def test_what_is_committed_behind_looks_that_found_nothing_is_found_by_the_next(
    world: World,
) -> None:
    store = leading(world)
    cursor = store.load().cursor
    with world.writer() as writer:
        writer.emit(event_id(1), "k")
        assert [store.open_next(cursor) for _ in range(3)] == [NothingAhead()] * 3
        writer.commit()

    found = store.open_next(cursor)
    assert not isinstance(found, NothingAhead)
    assert numbers_of(read(world, found)) == [1]


def test_the_first_window_has_what_was_written_before_any_relay_ran(world: World) -> None:
    write(world, 1, 2)
    write(world, 3)

    assert numbers_of(read(world, opened(leading(world)))) == [1, 2, 3]


# Windows


def test_a_window_has_what_was_committed_since_the_last_one(world: World) -> None:
    store = leading(world)
    write(world, 1)
    first = opened(store)
    write(world, 2)
    second = store.open_next(first.cursor)

    assert not isinstance(second, NothingAhead)
    assert numbers_of(read(world, second)) == [2]
    assert second.cursor.number == first.cursor.number + 1
    assert second.cursor.since == first.cursor.until


def test_rows_come_in_the_order_of_their_positions(world: World) -> None:
    write(world, 3, 1, 2)
    rows = read(world, opened(leading(world)))

    assert numbers_of(rows) == [3, 1, 2]
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)


def test_a_row_has_the_key_and_the_payload_that_were_written(world: World) -> None:
    write(world, 1, key="größe")
    write(world, 2, key=None)
    rows = read(world, opened(leading(world)))

    assert [(row[3], row[6]) for row in rows] == [
        ("größe", event_id(1).encode()),
        (None, event_id(2).encode()),
    ]


def test_what_was_rolled_back_is_in_no_window(world: World) -> None:
    with world.writer() as writer:
        writer.emit(event_id(1), "k")
        writer.rollback()
    store = leading(world)

    assert store.open_next(store.load().cursor) == NothingAhead()


def test_an_open_transaction_holds_back_its_own_events_only(world: World) -> None:
    with world.writer() as slow:
        slow.emit(event_id(1), "slow")
        write(world, 2)

        assert numbers_of(read(world, opened(leading(world)))) == [2]


def test_a_late_transaction_comes_with_the_window_in_which_it_was_committed(world: World) -> None:
    store = leading(world)
    with world.writer() as slow:
        slow.emit(event_id(1), "slow")
        write(world, 2)
        first = opened(store)
        slow.commit()
    write(world, 3)
    second = store.open_next(first.cursor)

    assert not isinstance(second, NothingAhead)
    assert numbers_of(read(world, second)) == [1, 3]


def test_a_page_that_was_read_before_a_late_commit_is_the_same_after_it(world: World) -> None:
    write(world, 1)
    with world.writer() as slow:
        slow.emit(event_id(2), "slow")
        write(world, 3)
        window = opened(leading(world))
        before = read(world, window)
        slow.commit()

    assert numbers_of(before) == [1, 3]
    assert read(world, window) == before


# The log of windows


def test_an_opened_window_is_taken_up_again_with_the_same_rows_in_the_same_places(
    world: World,
) -> None:
    store = leading(world)
    write(world, 1, 2)
    window = opened(store)
    write(world, 3)
    again = world.store("a", 1).load()

    assert again.cursor == window.cursor
    assert read(world, again) == read(world, window)


def test_only_what_lies_beyond_the_stored_position_is_left_of_a_window(world: World) -> None:
    store = leading(world)
    write(world, 1, 2, 3)
    window = opened(store)
    rows = read(world, window)
    saved = store.save(window.cursor.advanced(rows[1][0]), unblocks=False)
    again = world.store("a", 1).load()

    assert again.cursor == saved.cursor
    assert read(world, again) == rows[2:]


def test_a_closed_window_has_nothing_left(world: World) -> None:
    store = leading(world)
    write(world, 1)
    finished = opened(store).cursor.finished()
    store.save(finished, unblocks=False)

    assert store.load() == Loaded(finished, ())


def test_the_newest_entry_is_the_one_of_the_newest_window(world: World) -> None:
    store = leading(world)
    write(world, 1)
    first = opened(store)
    rows = read(world, first)
    advanced = store.save(first.cursor.advanced(rows[-1][0]), unblocks=False)
    write(world, 2)
    second = store.open_next(advanced.cursor)

    assert not isinstance(second, NothingAhead)
    assert store.load() == Loaded(second.cursor, second.pages)


# The fence


def test_a_former_leader_cannot_open_a_window(world: World) -> None:
    former = leading(world, "a")
    cursor = former.load().cursor
    world.lease_expires()
    leading(world, "b")
    write(world, 1)

    with pytest.raises(Fenced):
        former.open_next(cursor)


def test_a_former_leader_cannot_move_the_cursor(world: World) -> None:
    former = leading(world, "a")
    write(world, 1)
    window = opened(former)
    world.lease_expires()
    leading(world, "b")

    with pytest.raises(Fenced):
        former.save(window.cursor.finished(), unblocks=False)


def test_an_earlier_term_of_the_same_owner_cannot_write_any_more(world: World) -> None:
    earlier = leading(world, "a")
    write(world, 1)
    window = opened(earlier)
    leading(world, "a")

    with pytest.raises(Fenced):
        earlier.save(window.cursor.finished(), unblocks=False)


def test_of_two_that_write_the_same_entry_the_second_is_fenced(world: World) -> None:
    first = leading(world)
    second = world.store("a", 1)
    write(world, 1)
    window = opened(first)
    first.save(window.cursor.advanced(1), unblocks=False)

    with pytest.raises(Fenced):
        second.save(window.cursor.finished(), unblocks=False)


def test_of_two_that_open_the_same_window_the_second_is_fenced(world: World) -> None:
    first = leading(world)
    cursor = first.load().cursor
    write(world, 1)
    opened(first)

    with pytest.raises(Fenced):
        world.store("a", 1).open_next(cursor)


def test_a_fenced_entry_leaves_the_log_as_it_was_and_the_store_usable(world: World) -> None:
    store = leading(world)
    write(world, 1)
    window = opened(store)
    store.save(window.cursor.finished(), unblocks=False)
    before = store.load()
    with pytest.raises(Fenced):
        store.save(window.cursor.advanced(1), unblocks=False)

    assert store.load() == before


# What the broker refuses


def test_a_refused_event_is_reported_with_its_reason(world: World) -> None:
    leading(world).report_blocked(event_id(1), "too large")

    assert world.blocked() == (event_id(1), "too large")


def test_an_entry_that_unblocks_ends_the_report(world: World) -> None:
    store = leading(world)
    write(world, 1)
    window = opened(store)
    store.report_blocked(event_id(1), "too large")
    store.save(window.cursor.finished(), unblocks=True)

    assert world.blocked() is None


def test_an_entry_that_does_not_unblock_leaves_the_report(world: World) -> None:
    store = leading(world)
    write(world, 1)
    window = opened(store)
    store.report_blocked(event_id(1), "too large")
    store.save(window.cursor.finished(), unblocks=False)

    assert world.blocked() == (event_id(1), "too large")


def test_a_report_of_an_earlier_life_of_the_term_ends_when_the_cursor_is_read(
    world: World,
) -> None:
    leading(world).report_blocked(event_id(1), "too large")
    world.store("a", 1).load()

    assert world.blocked() is None


def test_a_former_leader_that_reads_the_cursor_leaves_the_report_of_the_present_one(
    world: World,
) -> None:
    former = leading(world, "a")
    world.lease_expires()
    leading(world, "b").report_blocked(event_id(1), "too large")
    former.load()

    assert world.blocked() == (event_id(1), "too large")


def test_one_that_never_held_the_lease_cannot_write_in_the_term_of_another(world: World) -> None:
    leading(world, "a")
    write(world, 1)
    stranger = world.store("b", 1)

    with pytest.raises(Fenced):
        stranger.open_next(stranger.load().cursor)


def test_a_former_leader_reports_nothing(world: World) -> None:
    former = leading(world, "a")
    world.lease_expires()
    leading(world, "b")
    former.report_blocked(event_id(1), "too large")

    assert world.blocked() is None
