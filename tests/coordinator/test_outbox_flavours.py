"""Outbox.add_all is the same on every kind of connection: atomic, in order, in one round trip."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import namedtuple_row
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.orm import Session

from coordinator import NoTransaction, Outbox, OutboxEvent, WrongUse
from tests.coordinator.flavours import FLAVOURS, Flavour

# The statement has one form for few events and another for many.
FEW_AND_MANY = pytest.mark.parametrize("count", [1, 2, 8, 9, 100])


@pytest.fixture(params=list(FLAVOURS.values()), ids=list(FLAVOURS))
def flavour(request: pytest.FixtureRequest) -> Flavour:
    """Each kind of connection in turn."""
    chosen: Flavour = request.param
    return chosen


def numbered(count: int, first: int = 0) -> list[OutboxEvent]:
    return [
        OutboxEvent(topic="a", key="k", type=f"t{number}", payload=b"\x00\xff")
        for number in range(first, first + count)
    ]


def every_shape() -> list[OutboxEvent]:
    """What must not be taken for something else: none, empty, and bytes of any value."""
    return [
        OutboxEvent(topic="a", key=None, type="no key", payload=b""),
        OutboxEvent(topic="a", key="", type="empty key", payload=b"NULL"),
        OutboxEvent.tombstone(topic="a", key="k", type="tombstone"),
        OutboxEvent(
            topic="a",
            key='{"ключ", NULL}\\',
            type="t é",
            payload=bytes(range(256)),
            content_type="x/y",
            headers={"a": "ü \"'\\{}", "b": "\U0001f600"},
        ),
    ]


def stored(url: str) -> list[Any]:
    columns = "id, topic, key, type, content_type, payload, headers"
    with psycopg.connect(url, row_factory=namedtuple_row) as connection:
        return connection.execute(
            f"select {columns} from outbox.event order by position".encode()
        ).fetchall()


def test_events_are_committed_with_their_transaction(flavour: Flavour, database_url: str) -> None:
    flavour.write(database_url, [numbered(3)], True)
    assert len(stored(database_url)) == 3


def test_events_are_rolled_back_with_their_transaction(flavour: Flavour, database_url: str) -> None:
    flavour.write(database_url, [numbered(3)], False)
    assert stored(database_url) == []


def test_autocommit_is_refused_and_nothing_is_written(flavour: Flavour, database_url: str) -> None:
    with pytest.raises(NoTransaction, match="autocommit"):
        flavour.write_in_autocommit(database_url, numbered(1))
    assert stored(database_url) == []


@FEW_AND_MANY
def test_positions_follow_the_order_of_the_calls(
    flavour: Flavour, database_url: str, count: int
) -> None:
    flavour.write(database_url, [numbered(count), numbered(1, first=count)], True)
    assert [row.type for row in stored(database_url)] == [f"t{n}" for n in range(count + 1)]


@pytest.mark.parametrize("times", [1, 10], ids=["few", "many"])
def test_every_field_is_stored_as_it_was_given(
    flavour: Flavour, database_url: str, times: int
) -> None:
    events = [event for _ in range(times) for event in every_shape()]
    flavour.write(database_url, [events], True)
    given = [
        (one.id, one.topic, one.key, one.type, one.content_type, one.payload, one.headers)
        for one in events
    ]
    assert [tuple(row) for row in stored(database_url)] == given


def test_events_without_any_key_or_payload_are_no_riddle_to_the_driver(
    flavour: Flavour, database_url: str
) -> None:
    keyless = [OutboxEvent(topic="a", key=None, type="t", payload=b"") for _ in range(20)]
    deleted = [OutboxEvent.tombstone(topic="a", key="k", type="t") for _ in range(20)]
    flavour.write(database_url, [keyless, deleted], True)
    rows = [(row.key, row.payload) for row in stored(database_url)]
    assert rows == [(None, b"")] * 20 + [("k", None)] * 20


def test_no_events_are_no_statement(flavour: Flavour, database_url: str) -> None:
    # In autocommit a statement would be refused.
    flavour.write_in_autocommit(database_url, [])


@contextmanager
def wire(connection: Any) -> Iterator[Callable[[], tuple[int, int]]]:
    """Counts what libpq sends and gets: (statements executed, round trips)."""
    with tempfile.TemporaryFile("w+") as log:
        connection.trace(log.fileno())

        def count() -> tuple[int, int]:
            connection.untrace()
            log.seek(0)
            said = log.read()
            return said.count("\tExecute\t"), said.count("\tReadyForQuery\t")

        yield count


def on_a_session(url: str, engine: Engine, events: list[OutboxEvent]) -> tuple[int, int]:
    with Session(engine) as session:
        return counted(session.connection(), lambda: Outbox().add_all(session, events))


def on_a_connection(url: str, engine: Engine, events: list[OutboxEvent]) -> tuple[int, int]:
    with engine.connect() as connection:
        return counted(connection, lambda: Outbox().add_all(connection, events))


def counted(connection: Connection, write: Callable[[], None]) -> tuple[int, int]:
    connection.exec_driver_sql("select 1")  # BEGIN is a round trip of its own
    driver: Any = connection.connection.driver_connection
    with wire(driver.pgconn) as count:
        write()
        return count()


def on_psycopg(url: str, engine: Engine, events: list[OutboxEvent]) -> tuple[int, int]:
    with psycopg.connect(url) as connection:
        connection.execute("select 1")
        with wire(connection.pgconn) as count:
            Outbox().add_all(connection, events)
            return count()


def on_async_psycopg(url: str, engine: Engine, events: list[OutboxEvent]) -> tuple[int, int]:
    async def write() -> tuple[int, int]:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute("select 1")
            with wire(connection.pgconn) as count:
                await Outbox().add_all(connection, events)
                return count()

    return asyncio.run(write())


@FEW_AND_MANY
@pytest.mark.parametrize("write", [on_a_session, on_a_connection, on_psycopg, on_async_psycopg])
def test_all_events_of_a_call_are_one_statement_in_one_round_trip(
    engine: Engine, database_url: str, write: Callable[..., tuple[int, int]], count: int
) -> None:
    assert write(database_url, engine, numbered(count)) == (1, 1)


def test_a_transaction_on_a_psycopg_connection_in_autocommit_is_one_like_any_other(
    database_url: str,
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection, connection.transaction():
        Outbox().add(connection, numbered(1)[0])
    assert len(stored(database_url)) == 1


def test_a_pipeline_in_autocommit_is_no_transaction(database_url: str) -> None:
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        connection.pipeline(),
    ):
        connection.execute("select 1")
        with pytest.raises(NoTransaction):
            Outbox().add(connection, numbered(1)[0])


def test_a_psycopg_connection_may_have_cursors_of_another_format(database_url: str) -> None:
    with psycopg.connect(database_url, cursor_factory=psycopg.RawCursor) as connection:
        Outbox().add(connection, numbered(1)[0])
    assert len(stored(database_url)) == 1


def test_a_session_that_has_to_be_begun_is_refused_before_it_is(engine: Engine) -> None:
    with Session(engine, autobegin=False) as session, pytest.raises(NoTransaction, match="begin"):
        Outbox().add(session, numbered(1)[0])


@pytest.mark.parametrize("stranger", [object(), create_engine("postgresql+psycopg://")])
def test_what_is_no_connection_is_refused_by_a_sentence_that_names_those_that_are(
    stranger: Any,
) -> None:
    with pytest.raises(WrongUse, match=f"{type(stranger).__name__}.*AsyncSession"):
        Outbox().add(stranger, numbered(1)[0])


@FEW_AND_MANY
def test_a_writer_that_may_only_insert_the_columns_of_an_event_can_add(
    database_url: str, count: int
) -> None:
    role = f"writer_{uuid4().hex}"
    columns = "id, topic, key, type, content_type, payload, headers"
    grants = (
        f"create role {role}; grant usage on schema outbox to {role};"
        f"grant insert ({columns}) on outbox.event to {role}; set local role {role}"
    )
    with psycopg.connect(database_url) as connection:
        connection.execute(grants.encode())
        Outbox().add_all(connection, numbered(count))
        # Rolled back: a role is the whole server's.
        connection.rollback()


def test_a_synchronous_writer_needs_nothing_that_asyncio_needs() -> None:
    # Imported where greenlet is not installed, sqlalchemy.ext.asyncio fails.
    program = (
        "import sys; from coordinator import Outbox;"
        "assert Outbox and not {'sqlalchemy.ext.asyncio', 'greenlet'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
