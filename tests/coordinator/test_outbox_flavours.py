"""Outbox.add_all: what goes over the wire, and what each kind of connection has of its own."""

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
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.orm import Session

from coordinator import NoTransaction, Outbox, OutboxEvent, WrongUse
from tests.coordinator.flavours import numbered, stored_in

# The statement has one form for few events and another for many.
FEW_AND_MANY = pytest.mark.parametrize("count", [1, 2, 8, 9, 100])


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
    assert len(stored_in(database_url)) == 1


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
    assert len(stored_in(database_url)) == 1


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
