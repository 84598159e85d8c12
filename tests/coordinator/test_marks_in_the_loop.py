"""Marks under what the loop does with a batch: cut around a bad record, parked, released, repeated.

A mark knows only how far a partition was taken, so a part of a batch that came out of its order
would be held for a repeat, and lost.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from coordinator.inbox.handling import Handle, each, whole
from coordinator.inbox.marks import Marks
from coordinator.inbox.release import handle_released, release
from tests.coordinator.records import (
    effects,
    handling,
    make_effects,
    parked,
    parked_id,
    record,
    refusing,
    refusing_batches,
    write_down,
)
from tests.coordinator.relay_records import relay_record


def value(n: int) -> str:
    return f'{{"n": {n}}}'


@pytest.fixture
def taking(engine: Engine) -> Engine:
    make_effects(engine)
    return engine


@pytest.mark.parametrize("bad", [0, 4, 9])
@pytest.mark.parametrize("batches", [False, True], ids=["each", "whole"])
def test_a_bad_record_takes_no_other_with_it(taking: Engine, bad: int, batches: bool) -> None:
    handle: Handle = whole(refusing_batches(value(bad))) if batches else each(refusing(value(bad)))
    batch = [relay_record(n, key=f"k{n}") for n in range(10)]
    for _ in range(2):  # delivered twice
        handling(taking, handle=handle, memory=Marks()).finish(batch)
    assert effects(taking) == [value(n) for n in range(10) if n != bad]
    assert parked(taking) == [(value(bad), "ValueError: not today")]


def test_a_parked_record_is_released_though_its_mark_was_passed(taking: Engine) -> None:
    batch = [relay_record(n) for n in range(4)]
    handling(taking, refusing(value(1)), memory=Marks()).finish(batch)
    assert effects(taking) == [value(0)]
    with Session(taking) as session, session.begin():
        release(session, parked_id(taking, value(1)), by="ada")
    handle_released(taking, "billing", each(write_down))
    assert effects(taking) == [value(n) for n in range(4)]


def test_a_record_of_another_producer_is_parked_and_the_others_flow(taking: Engine) -> None:
    batch = [relay_record(0, key="a"), record(7, "b"), relay_record(1, key="c")]
    handling(taking, memory=Marks()).finish(batch)
    assert effects(taking) == [value(0), value(1)]
    ((_, reason),) = parked(taking)
    assert reason is not None
    assert "use the memory `ids`" in reason


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    deliveries=st.lists(st.tuples(st.integers(0, 11), st.integers(1, 12)), min_size=1, max_size=8),
    bad=st.sets(st.integers(0, 11), max_size=3),
)
def test_however_records_are_delivered_again_each_ends_once(
    taking: Engine, deliveries: list[tuple[int, int]], bad: set[int]
) -> None:
    with taking.begin() as connection:
        connection.execute(text("truncate effects, inbox.parked, inbox.hold, inbox.mark cascade"))
    reached = 0
    for start, length in deliveries:
        first = min(start, reached)  # a partition is read on, or anew from somewhere before
        batch = [relay_record(n, key=f"k{n % 3}") for n in range(first, first + length)]
        reached = max(reached, first + length)
        handling(taking, refusing(*map(value, bad)), memory=Marks()).finish(batch)
    ended = effects(taking) + [one for one, _ in parked(taking)]
    assert sorted(ended) == sorted(value(n) for n in range(reached))
