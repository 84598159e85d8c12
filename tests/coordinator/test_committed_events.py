"""CommittedEvents: what reached the real outbox since the test began, and nothing else."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from coordinator import Outbox, OutboxEvent, WrongUse
from coordinator.testing import CommittedEvents
from tests.coordinator.flavours import typed, with_driver


def commit(engine: Engine, type_: str) -> None:
    with Session(engine) as session, session.begin():
        Outbox().add(session, typed(type_))


def types(events: CommittedEvents) -> list[str]:
    return [event.type for event in events.events]


def test_events_from_before_are_not_seen(engine: Engine) -> None:
    commit(engine, "before")
    events = CommittedEvents(engine)
    commit(engine, "during")
    assert types(events) == ["during"]


def test_a_commit_is_seen_though_its_event_was_written_before(engine: Engine) -> None:
    with Session(engine) as session:
        Outbox().add(session, typed("written before"))
        commit(engine, "committed before")
        events = CommittedEvents(engine)
        session.commit()
    assert types(events) == ["written before"]


def test_what_is_not_committed_is_not_seen_and_a_failure_says_so(engine: Engine) -> None:
    events = CommittedEvents(engine)
    with Session(engine) as session:
        Outbox().add(session, typed("waits"))
        with pytest.raises(AssertionError, match=r"not committed is not seen.*outbox_database"):
            events.assert_published()


def test_every_field_comes_back(engine: Engine) -> None:
    given = [
        OutboxEvent.json(topic="a", key=None, type="t", data={"n": 1}, headers={"h": "ü"}),
        OutboxEvent.tombstone(topic="b", key="k", type="gone"),
    ]
    events = CommittedEvents(engine)
    with Session(engine) as session, session.begin():
        Outbox().add_all(session, given)
    assert events.events == given


@pytest.mark.parametrize("kind", ["Connection", "Session"])
@pytest.mark.parametrize("earlier", [0, 1], ids=["fresh", "with events of the fixtures"])
def test_an_outer_transaction_is_seen_from_inside(engine: Engine, kind: str, earlier: int) -> None:
    with engine.connect() as connection:
        outer = connection.begin()
        Outbox().add_all(connection, [typed("prepared")] * earlier)
        # Later ids end before this transaction does: its own is no longer the highest.
        commit(engine, "of another")
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            events = CommittedEvents(connection if kind == "Connection" else session)
            Outbox().add(session, typed("during"))
            session.commit()
            Outbox().add(session, typed("lost"))
            session.rollback()
            assert types(events) == ["during"]
        outer.rollback()


def test_an_outer_transaction_of_psycopg_is_seen_from_inside(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        events = CommittedEvents(connection)
        Outbox().add(connection, typed("during"))
        assert types(events) == ["during"]
        connection.rollback()


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_an_address_is_enough(engine: Engine, database_url: str, driver: str) -> None:
    events = CommittedEvents(with_driver(database_url, driver))
    commit(engine, "during")
    assert types(events) == ["during"]


def test_what_is_no_database_is_refused_by_a_sentence_that_names_what_is() -> None:
    stranger: Any = object()
    with pytest.raises(WrongUse, match="object: give an Engine"):
        CommittedEvents(stranger)
