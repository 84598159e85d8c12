"""CursorStore and PageSource on what is parked: each case on the fake and on PostgreSQL."""

from __future__ import annotations

import json

import pytest

from relay.core.inputs import Hold, NothingAhead, Opened, Row
from relay.core.parking import Parked
from relay.errors import Fenced
from relay.ports import CursorStore
from tests.contract.conftest import World
from tests.contract.outbox import leading, numbers_of, opened, read, write


def held_by(row: Row) -> tuple[str, str | None]:
    """The hold that a refusal of `row` begins."""
    return (row[2], row[3])


def parked_whole(world: World, store: CursorStore) -> Opened:
    """The window of all that is pending, of which every event is parked behind the first."""
    window = opened(store)
    head, *behind = read(world, window)
    parked = (Parked(head, "too large", held_by(head)), *map(Parked, behind))
    store.save(window.cursor.advanced([head, *behind][-1][0]), unblocks=False, parked=parked)
    return window


def released(world: World, store: CursorStore) -> Opened:
    """The window that the release of everything opens."""
    world.retry_all()
    return opened(store)


def test_a_parked_event_holds_its_key_for_the_next_leader(world: World) -> None:
    write(world, 1)
    window = parked_whole(world, leading(world))

    assert world.store("a", 1).load().held == {held_by(read(world, window)[0])}


def test_nothing_is_held_in_a_fresh_database(world: World) -> None:
    assert leading(world).load().held == frozenset()


def test_a_former_leader_parks_nothing(world: World) -> None:
    former = leading(world, "a")
    write(world, 1)
    window = opened(former)
    (row,) = read(world, window)
    world.lease_expires()
    present = leading(world, "b")
    parked = (Parked(row, "too large", held_by(row)),)

    with pytest.raises(Fenced):
        former.save(window.cursor.advanced(row[0]), unblocks=False, parked=parked)
    assert present.load().held == frozenset()


def test_parked_events_stay_parked_while_nobody_releases_them(world: World) -> None:
    store = leading(world)
    write(world, 1, 2)
    parked_whole(world, store)

    assert isinstance(store.open_next(store.load().cursor), NothingAhead)


def test_a_release_opens_a_window_of_its_own_with_all_of_the_key_in_order(world: World) -> None:
    store = leading(world)
    write(world, 2, 1)
    write(world, 3)
    window = parked_whole(world, store)
    write(world, 4)
    release = released(world, store)

    assert release.cursor.releases
    assert release.cursor.number == window.cursor.number + 1
    assert numbers_of(read(world, release)) == [2, 1, 3]


def test_the_hold_ends_with_the_window_that_releases(world: World) -> None:
    store = leading(world)
    write(world, 1)
    parked_whole(world, store)

    assert released(world, store).held == frozenset()
    assert store.load().held == frozenset()


def test_what_is_more_than_a_window_releases_waits_on_for_a_later_one(world: World) -> None:
    store = leading(world)
    write(world, 1, 2, 3, 4)
    head = read(world, parked_whole(world, store))[0]
    first = released(world, store)
    cursor = store.save(first.cursor.advanced(read(world, first)[-1][0]), unblocks=False).cursor
    second = store.open_next(cursor)

    assert first.held == frozenset()
    assert isinstance(second, Opened)
    assert numbers_of(read(world, second)) == [4]
    assert second.held == frozenset()
    assert held_by(head) not in store.load().held


def test_between_two_windows_that_release_what_is_fresh_gets_its_own_and_the_key_is_held(
    world: World,
) -> None:
    store = leading(world)
    write(world, 1, 2, 3, 4)
    head = read(world, parked_whole(world, store))[0]
    write(world, 5)
    first = released(world, store)
    cursor = store.save(first.cursor.advanced(read(world, first)[-1][0]), unblocks=False).cursor
    fresh = store.open_next(cursor)

    assert isinstance(fresh, Opened)
    assert numbers_of(read(world, fresh)) == [5]
    assert fresh.held == frozenset[Hold]([held_by(head)])
    assert store.load().held == {held_by(head)}


def test_a_window_that_releases_a_part_holds_its_keys_only_for_the_others(world: World) -> None:
    store = leading(world)
    write(world, 1, 2, 3, 4)
    parked_whole(world, store)
    released(world, store)

    assert store.load().held == frozenset()


def test_what_was_written_meanwhile_comes_in_the_window_after_it(world: World) -> None:
    store = leading(world)
    write(world, 1)
    parked_whole(world, store)
    write(world, 2)
    release = released(world, store)
    following = store.open_next(release.cursor)

    assert isinstance(following, Opened)
    assert numbers_of(read(world, following)) == [2]
    assert not following.cursor.releases


def test_a_released_row_is_as_it_was_when_it_was_fresh_and_says_that_it_was_released(
    world: World,
) -> None:
    store = leading(world)
    write(world, 1, key="größe")
    (fresh,) = read(world, parked_whole(world, store))
    (row,) = read(world, released(world, store))

    assert row[:-1] == fresh[:-1]
    assert json.loads(row[-1] or "") == {"ce_outboxreleased": "true"}


def test_a_window_that_releases_is_taken_up_again_beyond_what_was_stored(world: World) -> None:
    store = leading(world)
    write(world, 1, 2, 3)
    parked_whole(world, store)
    release = released(world, store)
    first = read(world, release)[0]
    saved = store.save(release.cursor.advanced(first[0]), unblocks=False)
    again = world.store("a", 1).load()

    assert again.cursor == saved.cursor
    assert numbers_of(read(world, again)) == [2, 3]


def test_what_is_refused_again_waits_on_in_its_place(world: World) -> None:
    store = leading(world)
    write(world, 1, 2)
    parked_whole(world, store)
    release = released(world, store)
    first, second = read(world, release)
    again = (Parked(first, "still too large", held_by(first)), Parked(second))
    cursor = store.save(release.cursor.advanced(second[0]), unblocks=False, parked=again).cursor

    assert isinstance(store.open_next(cursor), NothingAhead)
    assert store.load().held == {held_by(first)}
    assert numbers_of(read(world, released(world, store))) == [1, 2]


def test_a_pause_is_told_with_a_window_that_holds_nothing(world: World) -> None:
    store = leading(world)
    write(world, 1)
    topic = read(world, opened(store))[0][2]
    world.pause(topic, "k")
    told = opened(store)

    assert told.held == frozenset[Hold]([(topic, "k")])
    assert told.pages == ()
    assert isinstance(store.open_next(told.cursor), NothingAhead)


def test_a_resumed_key_waits_on_while_its_topic_is_paused(world: World) -> None:
    store = leading(world)
    write(world, 1)
    window = parked_whole(world, store)
    topic = read(world, window)[0][2]
    world.pause(topic, None)
    release = released(world, store)

    assert release.held == frozenset[Hold]([(topic, None)])
    assert release.pages == ()


def test_a_wish_for_an_event_without_a_key_waits_while_its_topic_is_paused(world: World) -> None:
    store = leading(world)
    write(world, 1, key=None)
    window = opened(store)
    (row,) = read(world, window)
    parked = (Parked(row, "too large"),)
    store.save(window.cursor.advanced(row[0]), unblocks=False, parked=parked)
    world.retry_all()
    world.pause(row[2], None)
    told = opened(store)

    assert told.pages == ()
    assert isinstance(store.open_next(told.cursor), NothingAhead)


def test_a_former_leader_releases_nothing(world: World) -> None:
    former = leading(world, "a")
    write(world, 1)
    parked_whole(world, former)
    cursor = former.load().cursor
    world.lease_expires()
    present = leading(world, "b")
    world.retry_all()

    with pytest.raises(Fenced):
        former.open_next(cursor)
    assert numbers_of(read(world, opened(present))) == [1]
