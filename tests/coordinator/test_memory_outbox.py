"""What the in-memory outbox has of its own; test_outbox_conformance.py has what it shares."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from coordinator import Coordinator, Outbox, create_transaction_coordinator
from coordinator.outbox.table import outbox_event
from coordinator.testing import InMemoryOutbox
from tests.coordinator.database import count
from tests.coordinator.flavours import typed
from tests.coordinator.orders import KEY, pay


def types(memory: InMemoryOutbox) -> list[str]:
    return [event.type for event in memory.events]


@pytest.fixture
def sqlite() -> Engine:
    return create_engine("sqlite://")


def test_no_postgresql_is_needed(sqlite: Engine) -> None:
    memory = InMemoryOutbox()
    with Session(sqlite) as session, session.begin():
        memory.add(session, typed("kept"))
    assert types(memory) == ["kept"]


def test_an_event_is_not_there_before_the_commit(sqlite: Engine) -> None:
    memory = InMemoryOutbox()
    with Session(sqlite) as session, session.begin():
        memory.add(session, typed("waits"))
        assert types(memory) == []


def test_a_session_that_is_closed_without_a_commit_leaves_no_event(sqlite: Engine) -> None:
    memory = InMemoryOutbox()
    with Session(sqlite) as session:
        memory.add(session, typed("lost"))
    assert types(memory) == []


@pytest.mark.parametrize("mode", ["create_savepoint", "rollback_only", "conditional_savepoint"])
def test_a_commit_inside_of_an_outer_transaction_of_the_test_counts(
    sqlite: Engine, mode: Any
) -> None:
    memory = InMemoryOutbox()
    with sqlite.connect() as connection, connection.begin() as outer:
        with Session(connection, join_transaction_mode=mode) as session:
            memory.add(session, typed("kept"))
            session.commit()
        outer.rollback()
    assert types(memory) == ["kept"]


def test_a_rollback_inside_of_an_outer_transaction_of_the_test_counts(sqlite: Engine) -> None:
    memory = InMemoryOutbox()
    with sqlite.connect() as connection, connection.begin() as outer:
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            memory.add(session, typed("lost"))
            session.rollback()
        outer.rollback()
    assert types(memory) == []


def test_a_savepoint_in_a_savepoint_goes_with_the_outer_one(sqlite: Engine) -> None:
    memory = InMemoryOutbox()
    with Session(sqlite) as session, session.begin():
        outer = session.begin_nested()
        with session.begin_nested():
            memory.add(session, typed("lost"))
        outer.rollback()
    assert types(memory) == []


def test_a_commit_that_the_database_refuses_leaves_no_event(engine: Engine) -> None:
    deferred = "create table t (n int unique deferrable initially deferred)"
    with engine.begin() as connection:
        connection.execute(text(deferred))
    memory = InMemoryOutbox()
    for target in (Session(engine), engine.connect()):
        with target:
            memory.add(target, typed("lost"))
            target.execute(text("insert into t values (1), (1)"))
            with pytest.raises(IntegrityError):
                target.commit()
    assert types(memory) == []


def test_a_later_error_takes_no_committed_event_back(engine: Engine) -> None:
    memory = InMemoryOutbox()
    with engine.connect() as connection:
        memory.add(connection, typed("kept"))
        connection.commit()
        connection.execute(text("select 1"))
        driver: Any = connection.connection.driver_connection
        driver.close()
        with pytest.raises(OperationalError):
            connection.rollback()
    assert types(memory) == ["kept"]


def test_a_failure_says_what_waits_and_not_what_was_rolled_back(sqlite: Engine) -> None:
    memory = InMemoryOutbox()
    with Session(sqlite) as session, sqlite.connect() as connection:
        memory.add(session, typed("lost"))
        session.rollback()
        memory.add(session, typed("waits"))
        memory.add(connection, typed("waits too"))
        with pytest.raises(AssertionError, match="2 more wait for the commit"):
            memory.assert_published()


def test_installed_it_takes_what_the_coordinators_write(orders: Engine) -> None:
    completion = create_transaction_coordinator(engine=orders)
    with InMemoryOutbox().installed() as memory:
        Coordinator(orders).run(pay, 7, amount="9.50", key=KEY)
        completion.execute(run_id="r-1", tenant_id="acme", run_status="succeeded")
    assert types(memory) == ["order.paid", "run.completed", "policy.evaluated"]
    assert count(orders, outbox_event) == 0


def test_handed_in_it_is_the_publisher_of_one_coordinator(engine: Engine) -> None:
    memory = InMemoryOutbox()
    completion = create_transaction_coordinator(memory, engine=engine)
    completion.execute(run_id="r-1", tenant_id="acme", run_status="succeeded")
    assert types(memory) == ["run.completed", "policy.evaluated"]


def test_a_replay_publishes_nothing_again(orders: Engine) -> None:
    with InMemoryOutbox().installed() as memory:
        for _ in range(2):
            Coordinator(orders).run(pay, 7, amount="9.50", key=KEY)
    memory.assert_published(type="order.paid", count=1)


def test_after_the_block_the_outbox_is_the_real_one_again(engine: Engine) -> None:
    with InMemoryOutbox().installed() as memory:
        pass
    with Session(engine) as session, session.begin():
        Outbox().add(session, typed("real"))
    assert types(memory) == []
    assert count(engine, outbox_event) == 1
