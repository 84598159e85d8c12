"""wait_published: true when every event of the commit is in Kafka, never before, and soon after."""

from __future__ import annotations

import asyncio
import copy
import json
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, TextClause, text
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
    TransactionPhase,
    TransactionResult,
    WrongUse,
)
from coordinator.publication import PAUSE_FIRST_S, PAUSE_MAX_S, pauses
from tests.coordinator.database import engine_on, statements_of
from tests.coordinator.flavours import with_driver
from tests.relay.events import connected, emit, idempotency_key
from tests.relay.leader import closed, leading
from tests.support.consume import read_topic, topic_reader
from tests.support.history import end_lease
from tests.support.kafka import Broker
from tests.support.processes import StartRelay

KEY = ("acme", "publish", 1)


def publish(tx: Transaction, topic: str = "orders", *, events: int = 1) -> None:
    for number in range(events):
        data = {"number": number}
        tx.emit(OutboxEvent.json(topic=topic, key="k", type="thing.happened", data=data))


def committed(engine: Engine, key: tuple[str | int, ...] = KEY, **options: Any) -> Outcome:
    return Coordinator(engine).run(publish, key=key, **options)


def as_if_published(url: str) -> None:
    """What a relay stores once all of now is in Kafka."""
    with leading(url) as store:
        closed(store)
    end_lease(url)


def execute_on(coordinator: RunCompletionTransaction, **options: Any) -> TransactionResult:
    return coordinator.execute(run_id="r", tenant_id="t", run_status="failed", **options)


# --- with a relay and a broker ------------------------------------------------------------------


def test_what_is_said_to_be_published_can_be_read(
    engine: Engine, database_url: str, broker: Broker, topic: str, relay_process: StartRelay
) -> None:
    relay_process(database_url, broker.bootstrap_servers).wait_for_log("leading")
    with topic_reader(broker.bootstrap_servers, topic) as reader:
        for number in range(20):
            outcome = Coordinator(engine).run(publish, topic, events=5, key=("k", number))
            assert outcome.wait_published(20)
            read = {idempotency_key(record) for record in reader.read()}
            assert read >= {str(event_id) for event_id in outcome.event_ids}


# Whether the relay dies there with the cursor moved beyond the events.
KILLED_AT = {
    "relay.before_look": False,
    "relay.window_stored": False,
    "relay.before_send": False,
    "relay.page_acked": False,
    "relay.window_closed": True,
}


@pytest.mark.parametrize("failpoint", KILLED_AT)
def test_a_relay_that_is_killed_has_published_what_its_cursor_covers(
    failpoint: str,
    engine: Engine,
    database_url: str,
    broker: Broker,
    topic: str,
    relay_process: StartRelay,
) -> None:
    outcome = Coordinator(engine).run(publish, topic, key=KEY)
    doomed = relay_process(database_url, broker.bootstrap_servers, RELAY_FAILPOINT=failpoint)
    assert doomed.wait() == -signal.SIGKILL
    assert outcome.wait_published(0) is KILLED_AT[failpoint]
    end_lease(database_url)
    relay_process(database_url, broker.bootstrap_servers)
    assert outcome.wait_published(30)
    read_topic(broker.bootstrap_servers, topic, at_least=1)


# --- what is asked ------------------------------------------------------------------------------


def test_without_a_relay_it_is_not_known_to_be_published(engine: Engine) -> None:
    assert not committed(engine).wait_published(0.02)


def test_it_is_published_when_its_window_is(engine: Engine, database_url: str) -> None:
    outcome = committed(engine)
    as_if_published(database_url)
    assert outcome.wait_published(0)


def test_a_commit_behind_the_newest_window_is_not_published(
    engine: Engine, database_url: str
) -> None:
    committed(engine)
    as_if_published(database_url)
    assert not committed(engine, ("acme", "later")).wait_published(0)


def test_a_waiter_hears_it_when_it_happens(engine: Engine, database_url: str) -> None:
    outcome = committed(engine)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(outcome.wait_published, 30)
        as_if_published(database_url)
        assert waiting.result(timeout=30)


def test_without_events_it_is_published_at_once(engine: Engine) -> None:
    assert committed(engine, events=0).wait_published(0)


def test_a_repeat_of_the_call_can_be_asked_too(engine: Engine, database_url: str) -> None:
    committed(engine)
    as_if_published(database_url)
    replayed = committed(engine)
    assert replayed.replayed
    assert replayed.wait_published(0)


def test_a_completed_run_reaches_the_phase_events_published(
    engine: Engine, database_url: str, coordinator: RunCompletionTransaction
) -> None:
    results = [execute_on(coordinator), execute_on(coordinator)]
    assert [result.wait_published(0) for result in results] == [False, False]
    assert {result.phase for result in results} == {TransactionPhase.COMMITTED}
    as_if_published(database_url)
    assert [result.wait_published(0) for result in results] == [True, True]
    assert {result.phase for result in results} == {TransactionPhase.EVENTS_PUBLISHED}


def test_the_phase_that_is_recorded_stays_committed(
    database_url: str, coordinator: RunCompletionTransaction
) -> None:
    result = execute_on(coordinator)
    as_if_published(database_url)
    assert result.wait_published(0)
    assert execute_on(coordinator).phase is TransactionPhase.COMMITTED


def test_a_joined_transaction_is_published_only_once_it_is_committed(
    engine: Engine, database_url: str
) -> None:
    with Session(engine) as session:
        with Coordinator(engine).join(session, key=KEY) as tx:
            publish(tx)
        emit(database_url, "orders")
        as_if_published(database_url)
        assert not tx.result.wait_published(0)
        session.commit()
    assert not tx.result.wait_published(0)
    as_if_published(database_url)
    assert tx.result.wait_published(0)


@pytest.mark.parametrize("events", [0, 1])
def test_a_joined_transaction_that_was_rolled_back_is_never_published(
    engine: Engine, database_url: str, events: int
) -> None:
    with Session(engine) as session:
        with Coordinator(engine).join(session, key=KEY) as tx:
            publish(tx, events=events)
        session.rollback()
    emit(database_url, "orders")
    as_if_published(database_url)
    assert not tx.result.wait_published(0)


def test_what_another_transaction_did_under_the_same_key_does_not_count(
    engine: Engine, database_url: str
) -> None:
    with Session(engine) as session:
        with Coordinator(engine).join(session, key=KEY) as tx:
            publish(tx)
        session.rollback()
    committed(engine)
    as_if_published(database_url)
    assert not tx.result.wait_published(0)


def test_a_transaction_with_a_savepoint_is_published_as_a_whole(
    engine: Engine, database_url: str
) -> None:
    with Session(engine) as session, session.begin():
        with session.begin_nested(), Coordinator(engine).join(session, key=KEY) as tx:
            publish(tx)
        emit(database_url, "orders")
        as_if_published(database_url)
    assert not tx.result.wait_published(0)
    as_if_published(database_url)
    assert tx.result.wait_published(0)


PARKED = text(
    "insert into outbox.parked"
    " (position, id, topic, reason, type, content_type, headers, created_at)"
    " select position, id, topic, 'too large', type, content_type, headers, created_at"
    " from outbox.event where id = :id"
)
DISCARDED = text(
    "insert into outbox.parked_action (action, who, why, topic, events)"
    " values ('discard', 'ann', 'test data', 'orders', array[cast(:id as uuid)])"
)


@pytest.mark.parametrize("set_aside", [PARKED, DISCARDED], ids=["parked", "discarded"])
def test_an_event_that_was_set_aside_is_not_published(
    engine: Engine, database_url: str, set_aside: TextClause
) -> None:
    outcome = committed(engine, events=2)
    with engine.begin() as connection:
        connection.execute(set_aside, {"id": outcome.event_ids[1]})
    as_if_published(database_url)
    assert not outcome.wait_published(0)


def test_nothing_is_known_to_be_published_in_a_database_that_was_restored(
    engine: Engine, database_url: str
) -> None:
    outcome = committed(engine)
    as_if_published(database_url)
    with engine.begin() as connection:
        connection.execute(
            text("insert into outbox.epoch (nth, system_identifier, timeline) values (1, 1, 1)")
        )
    assert not outcome.wait_published(0)


def test_the_cluster_that_the_relay_has_led_on_is_known(engine: Engine, database_url: str) -> None:
    outcome = committed(engine)
    as_if_published(database_url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into outbox.epoch (nth, system_identifier, timeline, log, txid)"
                " select 1, system_identifier, 1, 'outbox.window'::regclass, pg_current_xact_id()"
                " from pg_control_system()"
            )
        )
    assert outcome.wait_published(0)


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
