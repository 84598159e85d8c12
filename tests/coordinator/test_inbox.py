"""The inbox: an event is taken once, in the transaction of the consumer's own writes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from coordinator import BadInput, NoTransaction, WrongUse, first_seen, once
from coordinator.inbox.once import inbox_seen
from tests.coordinator.database import count, statements_of
from tests.support.wait import until


def taken(engine: Engine, event_id: UUID, consumer: str = "billing") -> bool:
    with Session(engine) as session, session.begin():
        return once(session, event_id, consumer=consumer)


def test_an_event_is_new_the_first_time_only(engine: Engine) -> None:
    event_id = uuid4()
    assert [taken(engine, event_id), taken(engine, event_id)] == [True, False]


def test_a_rolled_back_take_does_not_count(engine: Engine) -> None:
    event_id = uuid4()
    with Session(engine) as session:
        assert once(session, event_id, consumer="billing")
        session.rollback()
    assert taken(engine, event_id)


def test_each_consumer_has_a_memory_of_its_own(engine: Engine) -> None:
    event_id = uuid4()
    assert taken(engine, event_id, "billing")
    assert taken(engine, event_id, "search")


def test_of_several_events_the_new_ones_are_told_in_one_statement(engine: Engine) -> None:
    old, *new = [uuid4() for _ in range(2_000)]
    taken(engine, old)
    with statements_of(engine) as sent, Session(engine) as session, session.begin():
        assert first_seen(session, [old, *new, *new], consumer="billing") == set(new)
    assert len(sent) == 1


def test_no_events_are_no_statement(engine: Engine) -> None:
    with statements_of(engine) as sent, Session(engine) as session:
        assert first_seen(session, [], consumer="billing") == set()
    assert sent == []


def test_a_connection_will_do(engine: Engine) -> None:
    with engine.begin() as connection:
        assert once(connection, uuid4(), consumer="billing")
    assert count(engine, inbox_seen) == 1


def test_a_second_consumer_of_the_same_event_waits_and_then_does_not_take_it(
    engine: Engine,
) -> None:
    event_id = uuid4()
    waiting = text("select 1 from pg_locks where not granted")
    with ThreadPoolExecutor(1) as pool, Session(engine) as first, engine.connect() as watch:
        assert once(first, event_id, consumer="billing")
        second = pool.submit(taken, engine, event_id)
        until(lambda: watch.execute(waiting).first(), what="the second consumer to wait")
        first.commit()
        assert second.result() is False


def test_two_consumers_with_the_same_events_in_another_order_do_not_deadlock(
    engine: Engine,
) -> None:
    ids = [uuid4() for _ in range(500)]

    def take(order: list[UUID]) -> int:
        with Session(engine) as session, session.begin():
            return len(first_seen(session, order, consumer="billing"))

    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(take, [ids, ids[::-1]]))
    assert sorted(counts) == [0, 500]


@pytest.mark.parametrize("consumer", ["", "x" * 256, "a\0b"])
def test_a_bad_consumer_name_is_refused(engine: Engine, consumer: str) -> None:
    with Session(engine) as session, pytest.raises(BadInput, match="consumer"):
        once(session, uuid4(), consumer=consumer)


def test_in_autocommit_nothing_is_noted_as_its_effect_could_be_lost(engine: Engine) -> None:
    event_id = uuid4()
    with (
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        pytest.raises(NoTransaction),
    ):
        once(connection, event_id, consumer="a")
    with engine.begin() as connection:
        assert once(connection, event_id, consumer="a")


def test_a_connection_of_another_kind_is_refused(database_url: str) -> None:
    with psycopg.connect(database_url) as connection, pytest.raises(WrongUse, match=r"inbox\.take"):
        once(connection, uuid4(), consumer="billing")  # type: ignore[arg-type]  # what is refused here
