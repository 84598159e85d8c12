"""Keys of the inbox expire by slot, and none is free again before its time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from coordinator import first_seen, once
from coordinator.inbox.once import inbox_seen
from tests.coordinator.database import count
from tests.support.wait import until


def take(engine: Engine, event_id: UUID) -> bool:
    with Session(engine) as session, session.begin():
        return once(session, event_id, consumer="billing")


def expire(engine: Engine) -> bool:
    with engine.begin() as connection:
        return bool(connection.scalar(text("select inbox.expire()")))


def pass_days(engine: Engine, days: float) -> None:
    """Let the present generation be so much older."""
    moved = text("update inbox.generation set began_at = began_at - make_interval(secs => :s)")
    with engine.begin() as connection:
        connection.execute(moved, {"s": days * 86_400})


def next_generation(engine: Engine) -> None:
    pass_days(engine, 3.5)
    assert expire(engine)


def test_a_generation_lasts_half_of_the_time_that_keys_are_kept(engine: Engine) -> None:
    pass_days(engine, 3.4)
    assert not expire(engine)
    pass_days(engine, 0.1)
    assert expire(engine)
    assert not expire(engine), "the next one has only begun"


@pytest.mark.parametrize("generations", [1, 2])
def test_a_key_is_known_for_two_generations_more(engine: Engine, generations: int) -> None:
    event_id = uuid4()
    take(engine, event_id)
    for _ in range(generations):
        next_generation(engine)
    assert not take(engine, event_id)


def test_a_key_is_forgotten_after_three_generations_and_its_row_with_it(engine: Engine) -> None:
    event_id = uuid4()
    take(engine, event_id)
    for _ in range(3):
        next_generation(engine)
    assert count(engine, inbox_seen) == 0
    assert take(engine, event_id)


def test_the_time_that_keys_are_kept_can_be_set(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("update inbox.generation set keep_for = '2 days'"))
    pass_days(engine, 1)
    assert expire(engine)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(st.one_of(st.sampled_from("abc"), st.none()), max_size=12))
def test_an_event_is_taken_again_only_after_its_slot_was_emptied(
    engine: Engine, steps: list[str | None]
) -> None:
    """A step is an event that comes, or None: the next generation."""
    ids = {name: uuid4() for name in "abc"}
    taken_in: dict[str, int] = {}
    generation = 0
    for step in steps:
        if step is None:
            next_generation(engine)
            generation += 1
            continue
        forgotten = step in taken_in and generation - taken_in[step] >= 3
        assert take(engine, ids[step]) == (step not in taken_in or forgotten)
        if step not in taken_in or forgotten:
            taken_in[step] = generation


def test_two_who_expire_at_once_begin_one_generation(engine: Engine) -> None:
    pass_days(engine, 3.5)
    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(lambda _: expire(engine), range(4))) == [False] * 3 + [True]


def test_an_open_taker_keeps_the_next_generation_away_and_is_not_harmed(engine: Engine) -> None:
    pass_days(engine, 3.5)
    event_id = uuid4()
    with Session(engine) as open_taker:
        assert once(open_taker, event_id, consumer="billing")
        assert not expire(engine)
        open_taker.commit()
    assert expire(engine)
    assert not take(engine, event_id)


def test_a_taker_that_came_during_a_change_of_slots_is_seen_by_the_next_one(engine: Engine) -> None:
    """The race that the shared lock is for.

    The change waits in its TRUNCATE for a reader of that slot. A taker that has looked at the
    generation and then waits behind the TRUNCATE would write the old slot after the change, where
    the next taker does not see it, as it is not committed.
    """
    pass_days(engine, 3.5)
    event_id = uuid4()
    with ThreadPoolExecutor(3) as pool, engine.connect() as reader, Session(engine) as during:
        reader.execute(text("select from inbox.seen_1"))
        changing = pool.submit(expire, engine)
        wait_for_waiting(engine, 1)
        taking = pool.submit(once, during, event_id, consumer="billing")
        wait_for_waiting(engine, 2)
        reader.rollback()
        assert changing.result()
        assert taking.result()
        after = pool.submit(take, engine, event_id)
        until(lambda: after.done() or waiting(engine) == 1, what="the next taker")
        during.commit()
        assert after.result() is False


def waiting(engine: Engine) -> int:
    """How many sessions wait for a lock."""
    with engine.connect() as connection:
        query = text("select count(distinct pid) from pg_locks where not granted")
        return connection.scalar(query) or 0


def wait_for_waiting(engine: Engine, sessions: int) -> None:
    until(lambda: waiting(engine) == sessions, what=f"{sessions} sessions to wait", every_s=0.005)


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_snapshot_from_before_a_change_of_slots_takes_nothing(
    engine: Engine, isolation: str
) -> None:
    """It would write the old slot, where those who came after the change do not see it."""
    with engine.connect().execution_options(isolation_level=isolation) as old:
        old.execute(text("select 1 from inbox.generation"))  # its snapshot is of now
        next_generation(engine)
        with pytest.raises(OperationalError, match="could not serialize"):
            once(old, uuid4(), consumer="billing")


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_snapshot_from_before_anothers_take_fails_too(engine: Engine, isolation: str) -> None:
    event_id = uuid4()
    with engine.connect().execution_options(isolation_level=isolation) as old:
        old.execute(text("select 1 from inbox.generation"))
        take(engine, event_id)
        with pytest.raises(OperationalError, match="could not serialize"):
            once(old, event_id, consumer="billing")


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_every_isolation_level_takes_an_event_once(engine: Engine, isolation: str) -> None:
    event_id = uuid4()
    answers = []
    for _ in range(2):
        with engine.connect().execution_options(isolation_level=isolation) as connection:
            answers.append(once(connection, event_id, consumer="billing"))
            connection.commit()
    assert answers == [True, False]


def test_takers_and_changes_of_slots_under_load_take_each_event_once(engine: Engine) -> None:
    """Each batch of events is taken by three at once, while generations pass as fast as they can.

    A generation here is no time but two batches, so that a key's slot is never emptied too early.
    """
    batches = [[uuid4() for _ in range(50)] for _ in range(40)]

    def take_batch(batch: list[UUID]) -> int:
        with Session(engine) as session, session.begin():
            return len(first_seen(session, batch, consumer="billing"))

    with ThreadPoolExecutor(4) as pool:
        for number, batch in enumerate(batches):
            takers = [pool.submit(take_batch, batch) for _ in range(3)]
            if number % 2:
                pass_days(engine, 3.5)
                pool.submit(expire, engine).result()
            assert sum(taker.result() for taker in takers) == len(batch)


def test_sql_takes_as_the_library_does(engine: Engine) -> None:
    event_id = uuid4()
    with engine.begin() as connection:
        statement = text("select inbox.take('billing', array[:a, :a]::uuid[])")
        assert connection.execute(statement, {"a": event_id}).scalars().all() == [event_id]
    assert not take(engine, event_id)
