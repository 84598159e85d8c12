"""Outbox.add: an event is a row of the caller's own transaction, and lives or dies with it."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from coordinator import NoTransaction, Outbox, OutboxEvent
from coordinator.outbox.table import outbox_event
from tests.coordinator.database import count, statements_of


def an_event(type_: str = "t", payload: bytes = b"\x00\xff") -> OutboxEvent:
    return OutboxEvent(topic="a", key="k", type=type_, payload=payload)


def test_an_event_of_a_session_is_committed_with_it(engine: Engine) -> None:
    with Session(engine) as session:
        Outbox().add(session, an_event())
        assert count(engine, outbox_event) == 0
        session.commit()
    assert count(engine, outbox_event) == 1


def test_an_event_of_a_connection_is_rolled_back_with_it(engine: Engine) -> None:
    with engine.connect() as connection:
        Outbox().add(connection, an_event())
        connection.rollback()
    assert count(engine, outbox_event) == 0


def test_an_event_of_a_savepoint_is_rolled_back_with_it(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        savepoint = session.begin_nested()
        Outbox().add(session, an_event("lost"))
        savepoint.rollback()
        Outbox().add(session, an_event("kept"))
    with engine.connect() as connection:
        assert connection.scalars(select(outbox_event.c.type)).all() == ["kept"]


def test_autocommit_is_refused(engine: Engine) -> None:
    with (
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        pytest.raises(NoTransaction, match="autocommit"),
    ):
        Outbox().add(connection, an_event())
    assert count(engine, outbox_event) == 0


def test_a_session_in_autocommit_is_refused(engine: Engine) -> None:
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    with Session(autocommit) as session, pytest.raises(NoTransaction):
        Outbox().add(session, an_event())


def test_many_events_are_one_statement_in_the_order_of_the_call(engine: Engine) -> None:
    events = [an_event(f"t{number}") for number in range(100)]
    with statements_of(engine) as sent, Session(engine) as session, session.begin():
        Outbox().add_all(session, events)
    assert len(sent) == 1
    in_order = select(outbox_event.c.type).order_by(outbox_event.c.position)
    with engine.connect() as connection:
        assert connection.scalars(in_order).all() == [event.type for event in events]


def test_no_events_are_no_statement(engine: Engine) -> None:
    with statements_of(engine) as sent, Session(engine) as session:
        Outbox().add_all(session, [])
    assert sent == []


def test_every_field_is_stored_as_it_was_given(engine: Engine) -> None:
    event = OutboxEvent(
        topic="a",
        key="ключ",
        type="t é",
        payload=bytes(range(256)),
        content_type="x/y",
        headers={"traceparent": "00-ab", "b": "ü \"'\\"},
    )
    with Session(engine) as session, session.begin():
        Outbox().add(session, event)
    with engine.connect() as connection:
        row = connection.execute(select(outbox_event)).one()
    assert (row.id, row.topic, row.key, row.type, row.payload, row.content_type, row.headers) == (
        event.id,
        event.topic,
        event.key,
        event.type,
        event.payload,
        event.content_type,
        event.headers,
    )


def test_no_key_an_empty_key_and_a_tombstone_stay_what_they_are(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        Outbox().add(session, OutboxEvent(topic="a", key=None, type="no key", payload=b""))
        Outbox().add(session, OutboxEvent(topic="a", key="", type="empty key", payload=b""))
        Outbox().add(session, OutboxEvent.tombstone(topic="a", key="k", type="tombstone"))
    with engine.connect() as connection:
        rows = connection.execute(select(outbox_event).order_by(outbox_event.c.position)).all()
    assert [(row.key, row.payload) for row in rows] == [(None, b""), ("", b""), ("k", None)]
