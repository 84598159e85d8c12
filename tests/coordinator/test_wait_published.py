"""wait_published: true when every event of the commit is in Kafka, never before, and soon after."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import Engine, TextClause, text
from sqlalchemy.orm import Session

from coordinator import (
    Coordinator,
    OutboxEvent,
    RunCompletionTransaction,
    Transaction,
    TransactionPhase,
)
from tests.coordinator.commits import KEY, as_if_published, committed, execute_on, publish
from tests.relay.events import emit, idempotency_key
from tests.support.consume import read_topic, topic_reader
from tests.support.history import end_lease
from tests.support.kafka import Broker
from tests.support.processes import StartRelay

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
    "insert into outbox.parked_action (action, who, why, topic, events, positions)"
    " select 'discard', 'ann', 'test data', topic, array[id], array[position]"
    " from outbox.event where id = :id"
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


def test_an_event_that_is_written_again_under_the_id_of_a_discarded_one_is_another(
    engine: Engine, database_url: str
) -> None:
    (discarded,) = committed(engine).event_ids
    with engine.begin() as connection:
        connection.execute(DISCARDED, {"id": discarded})

    def again(tx: Transaction) -> None:
        event = OutboxEvent.json(
            topic="orders", key="k", type="thing.happened", data={}, id=UUID(str(discarded))
        )
        tx.emit(event)

    outcome = Coordinator(engine).run(again, key=("again",))
    as_if_published(database_url)
    assert outcome.wait_published(0)


def test_when_the_row_of_a_discarded_event_has_made_room_its_id_still_tells(
    engine: Engine, database_url: str
) -> None:
    outcome = committed(engine)
    with engine.begin() as connection:
        connection.execute(DISCARDED, {"id": outcome.event_ids[0]})
    as_if_published(database_url)
    with engine.begin() as connection:
        connection.execute(text("truncate outbox.event"))
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
