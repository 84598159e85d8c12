"""How wait_published and await_published ask, and who can be asked."""

from __future__ import annotations

import asyncio
import copy
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from coordinator import (
    BadInput,
    Coordinator,
    FacadeEndedTransaction,
    Outbox,
    OutboxEvent,
    Outcome,
    RunCompletionTransaction,
    Transaction,
    TransactionFailed,
    TransactionResult,
    WrongUse,
)
from coordinator.publication import PAUSE_FIRST_S, PAUSE_MAX_S, pauses
from tests.coordinator.commits import KEY, as_if_published, committed, execute_on, publish
from tests.coordinator.database import engine_on, statements_of
from tests.coordinator.flavours import with_driver
from tests.relay.events import connected

# --- how it is asked ----------------------------------------------------------------------------


def test_a_look_is_one_statement(engine: Engine) -> None:
    outcome = committed(engine)
    with statements_of(engine) as sent:
        outcome.wait_published(0)
    assert len(sent) == 1


def test_a_look_writes_nothing_and_begins_no_transaction(database_url: str) -> None:
    with engine_on(database_url, pool_size=1, max_overflow=0) as engine:
        outcome = committed(engine)
        outcome.wait_published(0)
        with connected(database_url) as watcher:
            states = watcher.execute(
                "select state, left(query, 6) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
                " and backend_type = 'client backend'"
            ).fetchall()
    assert states == [("idle", "SELECT")]


def test_a_waiter_holds_no_connection_between_its_looks(database_url: str) -> None:
    with engine_on(database_url, pool_size=1, max_overflow=0, pool_timeout=20) as engine:
        outcome = committed(engine)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(outcome.wait_published, 30)
            committed(engine, ("acme", "another"))
            as_if_published(database_url)
            assert waiting.result(timeout=30)


def test_an_engine_in_repeatable_read_sees_what_is_published_meanwhile(database_url: str) -> None:
    with engine_on(database_url, isolation_level="REPEATABLE READ") as engine:
        outcome = committed(engine)
        with Session(engine) as session:
            session.execute(text("select 1"))
            as_if_published(database_url)
            assert outcome.wait_published(0)


def test_it_cannot_be_waited_for_inside_an_operation(engine: Engine) -> None:
    outcome = committed(engine)

    def wait(tx: Transaction) -> None:
        outcome.wait_published(0)

    with pytest.raises(TransactionFailed) as failed:
        Coordinator(engine).run(wait, key=("acme", "wait"))
    assert isinstance(failed.value.cause, FacadeEndedTransaction)


def test_a_look_that_fails_is_an_error_and_not_an_answer(engine: Engine, database_url: str) -> None:
    outcome = committed(engine)
    with connected(database_url) as owner:
        owner.execute("alter table transaction_records rename to away")
    with pytest.raises(ProgrammingError, match="transaction_records"):
        outcome.wait_published(0)


def test_the_pauses_double_from_5_ms_to_200_ms_and_the_last_ends_at_the_timeout() -> None:
    first = [pause for pause, _ in zip(pauses(60), range(9), strict=False)]
    doubled = [min(PAUSE_FIRST_S * 2**n, PAUSE_MAX_S) for n in range(8)]
    assert first == [0.0, *doubled]
    assert list(pauses(0)) == [0.0]
    *_, last = zip(pauses(0.002), range(2), strict=False)
    assert 0 < last[0] <= 0.002


@pytest.mark.parametrize("timeout_s", [-1, float("nan"), float("inf")])
def test_a_timeout_that_is_no_time_is_refused(engine: Engine, timeout_s: float) -> None:
    with pytest.raises(BadInput, match="timeout_s"):
        committed(engine).wait_published(timeout_s)


# --- who can be asked ---------------------------------------------------------------------------


def test_a_copy_of_a_result_says_that_it_cannot_answer(engine: Engine) -> None:
    outcome = committed(engine)
    assert copy.deepcopy(outcome) == outcome
    with pytest.raises(WrongUse, match="where its events are"):
        copy.deepcopy(outcome).wait_published(0)


def test_what_a_result_is_asked_does_not_show_in_it(
    coordinator: RunCompletionTransaction,
) -> None:
    result = execute_on(coordinator)
    read_again = TransactionResult.from_dict(
        json.loads(json.dumps(result.to_dict())), replayed=False
    )
    assert read_again == result
    assert repr(read_again) == repr(result)
    with pytest.raises(WrongUse, match="where its events are"):
        read_again.wait_published(0)


def test_events_of_a_publisher_of_ones_own_are_not_the_relays(engine: Engine) -> None:
    class Elsewhere:
        def add_all(self, session: Session, events: object) -> None:
            """Events go to another place."""

    result = execute_on(RunCompletionTransaction(engine, publisher=Elsewhere()))
    with pytest.raises(WrongUse):
        result.wait_published(0)


def test_events_of_the_outbox_that_was_handed_in_are_the_relays(
    engine: Engine, database_url: str
) -> None:
    result = execute_on(RunCompletionTransaction(engine, publisher=Outbox()))
    as_if_published(database_url)
    assert result.wait_published(0)


# --- without blocking ---------------------------------------------------------------------------


def test_it_is_awaited_on_a_synchronous_engine(engine: Engine, database_url: str) -> None:
    outcome = committed(engine)
    assert not asyncio.run(outcome.await_published(0.02))
    as_if_published(database_url)
    assert asyncio.run(outcome.await_published(0))


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_it_is_awaited_on_an_asynchronous_engine(database_url: str, driver: str) -> None:
    async def scenario() -> list[bool]:
        engine = create_async_engine(with_driver(database_url, driver))
        coordinator = Coordinator(engine.sync_engine)

        def join(session: Session) -> Outcome:
            with coordinator.join(session, key=KEY) as tx:
                publish(tx)
            return tx.result

        async with AsyncSession(engine) as session, session.begin():
            outcome = await session.run_sync(join)
        with pytest.raises(WrongUse, match="await_published"):
            outcome.wait_published(0)
        answers = [await outcome.await_published(0.02)]
        await asyncio.to_thread(as_if_published, database_url)
        answers.append(await outcome.await_published(0))
        await engine.dispose()
        return answers

    assert asyncio.run(scenario()) == [False, True]


@pytest.mark.parametrize("door", ["outbox", "sql"])
def test_events_of_every_door_are_waited_for(engine: Engine, door: str) -> None:
    def writes(tx: Transaction) -> None:
        if door == "outbox":
            event = OutboxEvent.json(topic="t", key="k", type="thing.happened", data={})
            Outbox().add(tx.session, event)
        else:
            tx.session.execute(text("select outbox.emit('t', 'k', 'thing.happened', '')"))

    assert not Coordinator(engine).run(writes, key=("k",)).wait_published(0)
