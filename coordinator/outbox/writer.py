"""Outbox.add: an event becomes a row of the caller's own transaction, and lives or dies with it.

What is written is decided in `insertion`; here are the thin ways to carry it out. The asynchronous
flavours of SQLAlchemy run the synchronous one (`run_sync`), so there is no twin to keep alike.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, overload

import psycopg
from sqlalchemy import Connection, Text, bindparam, cast, insert
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from coordinator import outbox_schema
from coordinator.autocommit import connection_in_transaction, refuse_psycopg_autocommit
from coordinator.errors import WrongUse
from coordinator.event import OutboxEvent
from coordinator.outbox import trace_context
from coordinator.outbox.insertion import Row, insertion_of, rows_of
from coordinator.outbox.table import outbox_event

if TYPE_CHECKING:
    # Not at run time: this import fails where SQLAlchemy was installed without asyncio.
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

    AsyncTarget: TypeAlias = AsyncSession | AsyncConnection | psycopg.AsyncConnection[Any]


class DjangoConnection(Protocol):
    """What is used of `django.db.connection`, which is not imported."""

    connection: Any
    in_atomic_block: bool
    wrap_database_errors: AbstractContextManager[None]

    def ensure_connection(self) -> None:
        """Open it, where no query has done so."""


Target: TypeAlias = Session | Connection | psycopg.Connection[Any] | DjangoConnection

# For SQLAlchemy on another driver than psycopg: each has its own way to send many rows.
_INSERT = insert(outbox_event).values(headers=cast(bindparam("headers", type_=Text), JSONB))


class Outbox:
    """Writes events; holds no state of them, so one may be shared by all threads and tasks.

    Order: events of one key reach Kafka in commit order if their writers take a lock for the key
        *before* they add (the row of the aggregate, or `pg_advisory_xact_lock`) and hold it to the
        commit. Inside one transaction the order is that of the calls.

    Trace: where OpenTelemetry is in use, an event gets the `traceparent` and `tracestate` of the
        present span, unless it has one of its own.
    """

    schema = outbox_schema.DEFAULT

    def __init__(self, *, schema: str = outbox_schema.DEFAULT) -> None:
        """Choose the outbox.

        Args:
            schema: in which it lies, where a database has several: 1 to 24 of a-z 0-9 _.

        Raises:
            BadInput: no outbox may lie in a schema of that name.
        """
        self.schema = outbox_schema.checked("schema", schema)

    @overload
    def add(self, session: Target, event: OutboxEvent) -> None: ...
    @overload
    def add(self, session: AsyncTarget, event: OutboxEvent) -> Coroutine[Any, Any, None]: ...
    def add(
        self, session: Target | AsyncTarget, event: OutboxEvent
    ) -> Coroutine[Any, Any, None] | None:
        """Write one event in the transaction of `session`; see `add_all`."""
        return self.add_all(session, [event])

    @overload
    def add_all(self, session: Target, events: Iterable[OutboxEvent]) -> None: ...
    @overload
    def add_all(
        self, session: AsyncTarget, events: Iterable[OutboxEvent]
    ) -> Coroutine[Any, Any, None]: ...
    def add_all(
        self, session: Target | AsyncTarget, events: Iterable[OutboxEvent]
    ) -> Coroutine[Any, Any, None] | None:
        """Write events in the transaction of `session`, in one statement and one round trip.

        On another driver than psycopg they go as SQLAlchemy sends many rows there.

        Args:
            session: a Session or Connection of SQLAlchemy, a connection of psycopg, or Django's
                connection; the caller commits. Of an AsyncSession, AsyncConnection or
                psycopg.AsyncConnection the result is to be awaited.
            events: in the order in which they shall appear; none is allowed.

        Raises:
            NoTransaction: the connection is in autocommit, or the session is one that has to be
                begun: an event could exist without its cause.
            WrongUse: `session` is none of these.
            psycopg.Error, sqlalchemy.exc.DBAPIError, django.db.Error: the database refused; the
                transaction is to be rolled back.
        """
        rows = rows_of(events, trace_context.current())
        if isinstance(session, Session | Connection):
            self._on_sqlalchemy(session, rows)
        elif isinstance(session, psycopg.Connection):
            self._on_psycopg(session, rows)
        elif isinstance(session, psycopg.AsyncConnection):
            return self._on_async_psycopg(session, rows)
        elif hasattr(session, "run_sync"):
            return session.run_sync(self._on_sqlalchemy, rows)
        elif hasattr(session, "in_atomic_block"):
            self._on_django(session, rows)
        else:
            raise _cannot_write_on(session)
        return None

    # The ways to carry it out; the in-memory outbox of the tests has its own.

    def _on_sqlalchemy(self, session: Session | Connection, rows: Sequence[Row]) -> None:
        if not rows:
            return
        connection = connection_in_transaction(session)
        if connection.dialect.driver == "psycopg":
            connection.exec_driver_sql(*insertion_of(rows, self.schema))
        else:
            # A list of dicts, never .values([...]): that compiles a statement as long as the list
            # (2.5 times the time).
            there = {"schema_translate_map": {outbox_schema.DEFAULT: self.schema}}
            connection.execute(_INSERT, [row._asdict() for row in rows], execution_options=there)

    def _on_psycopg(self, connection: psycopg.Connection[Any], rows: Sequence[Row]) -> None:
        if rows:
            refuse_psycopg_autocommit(connection)
            # A plain cursor: the connection's own may be one of another format ($1), or of the
            # client's binding.
            with psycopg.Cursor(connection) as cursor:
                cursor.execute(*insertion_of(rows, self.schema))

    async def _on_async_psycopg(
        self, connection: psycopg.AsyncConnection[Any], rows: Sequence[Row]
    ) -> None:
        if rows:
            refuse_psycopg_autocommit(connection)
            async with psycopg.AsyncCursor(connection) as cursor:
                await cursor.execute(*insertion_of(rows, self.schema))

    def _on_django(self, django: DjangoConnection, rows: Sequence[Row]) -> None:
        # Naive: let users hand in `connection.connection`. That is None until the first query, and
        # what it raises is not what their code catches.
        django.ensure_connection()
        if not isinstance(django.connection, psycopg.Connection):
            raise _cannot_write_on(django.connection)
        with django.wrap_database_errors:
            self._on_psycopg(django.connection, rows)


def _cannot_write_on(target: object) -> WrongUse:
    kind = f"{type(target).__module__}.{type(target).__qualname__}".removeprefix("builtins.")
    return WrongUse(
        f"cannot write events on a {kind}: hand in a Session, Connection, AsyncSession or "
        "AsyncConnection of SQLAlchemy, a connection of psycopg, or Django's `connection` on "
        "psycopg 3"
    )
