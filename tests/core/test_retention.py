from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.cursor import Cursor
from relay.core.retention import (
    EVENT_RING,
    LOG_RING,
    PASS_AGAIN_S,
    PASS_EVERY_S,
    QUIET_PASS_S,
    Due,
    Emptied,
    Milestone,
    due,
    next_pass_s,
    published,
)
from relay.core.snapshot import Snapshot

LEAF = 1 << 20
FULL = (1,) * 8
C, S = Snapshot.parse("10:20:10"), Snapshot.parse("20:30:")


def slots(found: tuple[Due, ...]) -> list[int]:
    return [one.slot for one in found]


def test_positions_go_round_the_leaves_as_the_schema_has_it() -> None:
    assert [EVENT_RING.slot_of(n * LEAF) for n in range(10)] == [0, 1, 2, 3, 4, 5, 6, 7, 0, 1]
    assert [EVENT_RING.slot_of(n) for n in (LEAF - 1, LEAF)] == [0, 1]


@given(st.integers(1, 1 << 40))
def test_neither_the_leaf_that_is_written_to_nor_the_next_is_ever_due(position: int) -> None:
    current = EVENT_RING.slot_of(position)
    found = slots(due(EVENT_RING, position, FULL))

    assert set(found) == set(range(8)) - {current, (current + 1) % 8}


def test_the_oldest_leaf_is_tried_first() -> None:
    assert slots(due(EVENT_RING, 9 * LEAF, FULL)) == [3, 4, 5, 6, 7, 0]


def test_an_empty_leaf_is_not_due() -> None:
    assert slots(due(EVENT_RING, 5 * LEAF, (0, 1, 0, 0, 1, 1, 0, 0))) == [1, 4]


def test_a_young_leaf_goes_when_writers_are_half_a_leaf_from_the_one_before_it() -> None:
    def for_room(position: int) -> list[int]:
        return [one.slot for one in due(EVENT_RING, position, FULL) if one.for_room]

    assert for_room(8 * LEAF) == []
    assert for_room(8 * LEAF + LEAF // 2 - 1) == []
    assert for_room(8 * LEAF + LEAF // 2) == [2]
    assert for_room(9 * LEAF - 1) == [2]
    assert for_room(9 * LEAF) == []


def test_above_the_size_that_is_asked_for_every_leaf_goes_as_soon_as_it_can() -> None:
    found = due(EVENT_RING, 8 * LEAF, (100, 100, 0, 0, 0, 0, 100, 100), bytes_max=399)

    assert found == (Due(6, for_room=True), Due(7, for_room=True))
    assert not any(one.for_room for one in due(EVENT_RING, 8 * LEAF, FULL, bytes_max=8))


def test_the_log_keeps_the_two_leaves_of_its_newest_windows() -> None:
    assert slots(due(LOG_RING, 5 << 16, (1,) * 4)) == [3, 0]


@pytest.mark.parametrize(
    ("cursor", "expected"),
    [
        (Cursor(7, 0, C, S), Milestone(6, C)),
        (Cursor(7, 3, C, S, last_position=99), Milestone(6, C)),
        (Cursor(7, 4, C, S, closed=True), Milestone(7, S)),
    ],
    ids=["open", "half sent", "closed"],
)
def test_a_window_is_published_when_it_is_closed(cursor: Cursor, expected: Milestone) -> None:
    assert published(cursor) == expected


@pytest.mark.parametrize(
    ("outcomes", "rest_s"),
    [
        ([], PASS_EVERY_S),
        ([Emptied.NEEDED], PASS_EVERY_S),
        ([Emptied.NEEDED, Emptied.EMPTIED], PASS_AGAIN_S),
        ([Emptied.IN_USE], PASS_AGAIN_S),
    ],
)
def test_the_next_pass_comes_soon_where_there_is_more_to_do(
    outcomes: list[Emptied], rest_s: float
) -> None:
    assert next_pass_s(outcomes) == rest_s


@pytest.mark.parametrize(
    ("outcomes", "rest_s"),
    [
        ([], QUIET_PASS_S),
        ([Emptied.NEEDED], QUIET_PASS_S),
        ([Emptied.EMPTIED], PASS_AGAIN_S),
        ([Emptied.IN_USE], PASS_AGAIN_S),
    ],
)
def test_while_nothing_is_written_passes_are_few_unless_there_is_more_to_do(
    outcomes: list[Emptied], rest_s: float
) -> None:
    assert next_pass_s(outcomes, quiet=True) == rest_s
