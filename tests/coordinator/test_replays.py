"""Replayed records in the inbox: skipped by whom they are not for, and taken by whom they are for
exactly if there is no trace of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from coordinator import BadInput, Ids, forget
from coordinator.inbox.marks import Marks
from coordinator.inbox.memory import Memory, Record
from coordinator.inbox.places import RECENT, Event, Note, Taking, Track
from tests.coordinator.database import statements_of
from tests.coordinator.records import effects, handling, make_effects
from tests.coordinator.relay_records import SECOND_EPOCH, relay_record


@pytest.fixture(params=[Ids, Marks])
def memory(request: pytest.FixtureRequest) -> Memory:
    made: Memory = request.param()
    return made


def replayed(n: int, whom: str = "*") -> Record:
    return relay_record(n, headers={"ce_replay": whom.encode()})._replace(offset=1_000 + n)


def take(engine: Engine, memory: Memory, records: Sequence[Record]) -> list[bool]:
    with Session(engine) as session, session.begin():
        return memory.take(session, "billing", records)


def forgotten(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        forget(session, consumer="billing")


def test_a_replay_for_another_is_not_new_and_leaves_no_trace(
    engine: Engine, memory: Memory
) -> None:
    assert take(engine, memory, [replayed(1, "shipping")]) == [False]
    assert take(engine, memory, [replayed(1, "billing")]) == [True]


@pytest.mark.parametrize("whom", ["*", "billing"])
def test_a_replay_of_what_was_taken_is_a_repeat(engine: Engine, memory: Memory, whom: str) -> None:
    take(engine, memory, [relay_record(1), relay_record(2)])
    assert take(engine, memory, [replayed(1, whom), replayed(2, whom)]) == [False, False]


@pytest.mark.parametrize("whom", ["*", "billing"])
def test_after_it_forgot_a_consumer_takes_a_replay_once_and_its_stream_goes_on(
    engine: Engine, memory: Memory, whom: str
) -> None:
    take(engine, memory, [relay_record(n) for n in range(1, 6)])
    forgotten(engine)
    assert take(engine, memory, [relay_record(6), replayed(1, whom)]) == [True, True]
    assert take(engine, memory, [replayed(2, whom), relay_record(7)]) == [True, True]
    again = [replayed(n, whom) for n in (1, 2, 6, 7)] + [relay_record(6)]
    assert take(engine, memory, again) == [False] * 5


def test_forgetting_is_of_one_consumer(engine: Engine, memory: Memory) -> None:
    take(engine, memory, [relay_record(1)])
    with Session(engine) as session, session.begin():
        forget(session, consumer="shipping")
    assert take(engine, memory, [replayed(1)]) == [False]


def test_it_says_how_much_was_forgotten(engine: Engine) -> None:
    take(engine, Ids(), [relay_record(1), relay_record(2)])
    take(engine, Marks(), [relay_record(1), relay_record(2, partition=1)])
    with Session(engine) as session, session.begin():
        assert forget(session, consumer="billing") == (2, 2)
        assert forget(session, consumer="billing") == (0, 0)


def test_a_bad_name_is_refused(engine: Engine) -> None:
    with Session(engine) as session, pytest.raises(BadInput, match="consumer"):
        forget(session, consumer="")


def test_a_mark_does_not_move_for_a_replay(engine: Engine) -> None:
    take(engine, Marks(), [replayed(9)])
    assert take(engine, Marks(), [relay_record(5), relay_record(6)]) == [True, True]


def test_an_event_that_was_taken_from_a_replay_is_a_repeat_when_the_stream_brings_it_again(
    engine: Engine,
) -> None:
    """A crash repeats it just then, or its consumer reads the topic again from older offsets."""
    assert take(engine, Marks(), [replayed(3), relay_record(3)]) == [True, False]
    again = [relay_record(2), relay_record(3), relay_record(4)]
    assert take(engine, Marks(), again) == [True, False, True]


def test_a_replay_of_another_epoch_is_measured_by_that(engine: Engine) -> None:
    take(engine, Marks(), [relay_record(5), relay_record(1, epoch=SECOND_EPOCH, event=9)])
    assert take(engine, Marks(), [replayed(5)]) == [False]
    older = replayed(4)
    assert take(engine, Marks(), [older, older]) == [True, False]


def test_marks_that_know_no_beginning_count_all_below_as_taken(engine: Engine) -> None:
    """Rows of before this was noted."""
    take(engine, Marks(), [relay_record(5)])
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "update inbox.mark set epochs = (select jsonb_object_agg(key, value - 'began')"
            " from jsonb_each(epochs))"
        )
    assert take(engine, Marks(), [replayed(4)]) == [False]


def test_the_loop_skips_what_is_for_another_and_counts_it(engine: Engine) -> None:
    make_effects(engine)
    loop = handling(engine)
    loop.finish([replayed(1, "shipping"), relay_record(2), replayed(3, "shipping")])
    assert (effects(engine), loop.replays_skipped) == (['{"n": 2}'], 2)


def test_a_batch_that_is_all_for_another_costs_no_statement(engine: Engine) -> None:
    loop = handling(engine)
    with statements_of(engine) as sent:
        loop.finish([replayed(1, "shipping")])
    assert (sent, loop.replays_skipped) == ([], 1)


class OnePartition:
    """Marks over one partition, with the ids of replays, as the database keeps them."""

    def __init__(self) -> None:
        self.track, self.notes, self.ids = Track(), list[Note](), set[str]()
        self.taken: Counter[str] = Counter()

    def read(self, batch: Sequence[Event]) -> None:
        taking = Taking(self.track, lambda: self.notes, RECENT)
        for event in batch:
            if event.is_replayed:
                new = by_id = not taking.has_trace_of(event)
                if by_id:
                    taking.note_replayed(event)
            else:
                new = taking.is_new(event)
                by_id = new and taking.may_be_replayed(event)
            if by_id:
                new = event.event_id not in self.ids
                self.ids.add(event.event_id)
            self.taken[event.event_id] += new
        self.track = taking.after()
        self.notes = [*self.notes, *taking.notes.values()][-3:]


lives = st.tuples(st.just("live"), st.integers(0, 5), st.integers(1, 8))
replays = st.tuples(st.just("replay"), st.integers(0, 60), st.integers(1, 20))
forgets = st.tuples(st.just("forget"), st.just(0), st.just(0))


@given(st.lists(st.one_of(lives, lives, replays, forgets), max_size=30), st.integers(1, 9))
def test_since_it_forgot_each_event_is_taken_once_and_each_replayed_one_is(
    steps: list[tuple[str, int, int]], batch_size: int
) -> None:
    """Whatever is replayed in between, and however often the stream repeats itself: whoever repeats
    a part of it goes on from there, and repeats the rest, however often he stops in between. What
    lies before the first event that it has seen it was taken before it forgot."""
    memory, reached = OnePartition(), 0
    seen_from: int | None = 0
    for step, at, length in steps:
        if step == "forget":
            memory, seen_from = OnePartition(), None
            continue
        first = max(0, reached - at) if step == "live" else at
        last = first + length if step == "live" else min(at + length, reached)
        log = [
            Event("e", f"{n:019d}", "0", str(n), is_replayed=step == "replay")
            for n in range(first, last)
        ]
        for begin in range(0, len(log), batch_size):
            memory.read(log[begin : begin + batch_size])
        if step == "live":
            reached = last
            seen_from = first if seen_from is None else seen_from
        due = (n for n in range(first, last) if n >= (seen_from or 0))
        assert all(memory.taken[str(n)] == 1 for n in due), (step, first, last)
    assert max(memory.taken.values(), default=1) == 1
