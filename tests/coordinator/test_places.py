"""What the memory `marks` tells of an event, by its place and by the ids of the last ones."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.errors import PlacesWentBack
from coordinator.inbox.places import Event, Note, Taking, Track

RECENT = 4


class Memory:
    """Tracks of one partition from batch to batch, as the database keeps them."""

    def __init__(self) -> None:
        self.track = Track()
        self.notes: list[tuple[int, Note]] = []
        self.recalls = 0

    def take(self, *events: Event) -> list[bool]:
        taking = Taking(self.track, self._recall, RECENT)
        answers = [taking.is_new(event) for event in events]
        self.track = taking.after()
        self.notes += [(self.track.taken, note) for note in taking.notes.values()]
        self.notes = [kept for kept in self.notes if kept[0] > self.track.taken - RECENT]
        return answers

    def _recall(self) -> Iterable[Note]:
        self.recalls += 1
        return [note for _, note in self.notes]


def event(n: int, epoch: str = "first", event_id: str | None = None, time: int = 0) -> Event:
    return Event(epoch, f"{n:019d}", f"{time:06d}", event_id or f"{epoch}/{n}")


def test_events_in_rising_place_are_new_and_no_id_is_looked_at() -> None:
    memory = Memory()
    assert memory.take(event(1), event(2)) == [True, True]
    assert memory.take(event(3)) == [True]
    assert memory.recalls == 0


def test_a_repeat_is_not_new_in_the_same_batch_or_a_later_one() -> None:
    memory = Memory()
    assert memory.take(event(1), event(1)) == [True, False]
    assert memory.take(event(1), event(2)) == [False, True]


def test_an_old_page_in_between_is_dropped_and_does_not_move_the_mark_back() -> None:
    memory = Memory()
    memory.take(*map(event, range(1, 101)))
    assert memory.take(*map(event, range(50, 61))) == [False] * 11
    assert memory.take(event(101), event(100)) == [True, False]


def test_an_event_that_comes_below_the_mark_for_the_first_time_is_new() -> None:
    memory = Memory()
    memory.take(event(1))
    memory.take(event(5))
    assert memory.take(event(3)) == [True]
    assert memory.take(event(3), event(5)) == [False, False]


def test_below_the_ids_that_are_kept_the_place_alone_tells() -> None:
    memory = Memory()
    memory.take(event(1))
    for n in range(10, 20):
        memory.take(event(n))
    assert memory.take(event(5)) == [False]


def test_what_comes_again_under_another_epoch_is_known_by_its_id() -> None:
    memory = Memory()
    memory.take(event(8, event_id="a"), event(9, event_id="b"))
    again = event(3, "second", event_id="b")
    assert memory.take(again, event(4, "second", event_id="c")) == [False, True]


def test_a_place_of_another_epoch_says_nothing() -> None:
    memory = Memory()
    memory.take(event(8))
    assert memory.take(event(2, "second")) == [True]


def test_a_relay_of_the_old_epoch_that_wakes_up_repeats_nothing() -> None:
    memory = Memory()
    memory.take(event(8, event_id="a"))
    memory.take(event(3, "second", event_id="b"))
    assert memory.take(event(9, event_id="b"), event(8, event_id="a")) == [False, False]


def test_long_after_a_new_epoch_began_no_id_is_looked_at_any_more() -> None:
    memory = Memory()
    memory.take(event(8))
    for n in range(1, RECENT + 2):
        memory.take(event(n, "second"))
    before = memory.recalls
    assert memory.take(event(50, "second")) == [True]
    assert memory.recalls == before


def test_a_database_that_was_put_back_is_noticed_by_an_event_too_young_for_its_place() -> None:
    memory = Memory()
    for n in range(1, 20):
        memory.take(event(n, time=n))
    with pytest.raises(PlacesWentBack, match="put back to an earlier state"):
        memory.take(event(5, event_id="another", time=21))


def test_notes_hold_the_last_events_and_no_more_than_a_batch_beyond() -> None:
    memory = Memory()
    for n in range(0, 60, 3):
        memory.take(event(n), event(n + 1), event(n + 2))
    kept = [event_id for _, note in memory.notes for event_id in note.event_ids]
    assert kept[-RECENT:] == [f"first/{n}" for n in range(56, 60)]
    assert len(kept) <= RECENT + 3


# Every attempt is a run that begins at or before the first event that is missing.
runs = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 8)), max_size=20)


@given(runs, st.lists(st.integers(1, 9), min_size=1, max_size=40))
def test_of_runs_that_leave_no_gap_each_event_is_taken_once(
    runs: list[tuple[int, int]], sizes: list[int]
) -> None:
    log: list[Event] = []
    reached = 0
    for back, length in runs:
        first = max(0, reached - back)
        log += [event(n) for n in range(first, first + length)]
        reached = max(reached, first + length)
    memory, taken = Memory(), []
    for size in [*sizes, len(log) + 1]:
        batch, log = log[:size], log[size:]
        answers = memory.take(*batch)
        taken += [one.event_id for one, new in zip(batch, answers, strict=True) if new]
    assert taken == [f"first/{n}" for n in range(reached)]


def test_a_released_event_is_known_by_its_id_though_its_place_is_new() -> None:
    memory = Memory()
    memory.take(event(1), event(2, event_id="parked"))
    released = event(7, event_id="parked")._replace(released=True)

    assert memory.take(released) == [False]
    assert memory.take(event(8)._replace(released=True)) == [True]


def test_an_event_at_the_place_it_had_before_its_release_is_known_by_its_id() -> None:
    memory = Memory()
    memory.take(event(1), event(7, event_id="parked")._replace(released=True))

    assert memory.take(event(2, event_id="parked")) == [False]
