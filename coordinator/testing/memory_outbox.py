"""InMemoryOutbox: an outbox without its table, that keeps what is committed.

Naive: a list that `add` appends to. A test of code that rolls back then finds events that nobody
would ever get. So an event waits in the list of its transaction, and the end of that decides:

- on a Session, of its transaction or savepoint. A released savepoint hands its events to what it
  lies in. The session's own commit counts, also where it joined an outer transaction of the test;
- on a Connection, of its transaction, with the savepoints inside;
- on a connection of psycopg, which tells nobody of its end, the server decides: a notification of
  PostgreSQL is delivered at the commit, and is lost with a rollback, a savepoint's too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary, WeakSet

import psycopg
from sqlalchemy import Connection, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.orm import Session, SessionTransaction

from coordinator.autocommit import connection_in_transaction, refuse_psycopg_autocommit
from coordinator.event import OutboxEvent
from coordinator.outbox.insertion import Row
from coordinator.outbox.writer import Outbox
from coordinator.testing.leaks import note_event
from coordinator.testing.published import PublishedEvents
from coordinator.testing.savepoint_log import SavepointLog

__all__ = ["InMemoryOutbox"]

_CHANNEL = "outbox_in_memory"
_LISTEN = f"listen {_CHANNEL}".encode()
_NOTIFY = b"select pg_notify(%b, token) from unnest(%b::text[]) as token"


class InMemoryOutbox(Outbox, PublishedEvents):
    """An Outbox whose committed events are in `events`, in the order of the commits.

    It takes what `Outbox` takes and refuses what that refuses. SQLAlchemy on any database will do;
    a connection of psycopg needs its server, but no schema of ours.
    """

    def __init__(self) -> None:
        """Begin with no events."""
        self._committed: list[OutboxEvent] = []
        self._by_transaction: dict[SessionTransaction, list[OutboxEvent]] = {}
        self._sessions: WeakSet[Session] = WeakSet()
        self._by_connection: WeakKeyDictionary[Connection, SavepointLog[OutboxEvent]] = (
            WeakKeyDictionary()
        )
        self._committing: WeakKeyDictionary[Connection, list[OutboxEvent]] = WeakKeyDictionary()
        self._notified: dict[str, OutboxEvent] = {}
        self._listening: WeakSet[Any] = WeakSet()

    @property
    def events(self) -> Sequence[OutboxEvent]:
        """What was committed so far."""
        return tuple(self._committed)

    @contextmanager
    def installed(self) -> Iterator[InMemoryOutbox]:
        """Have every Outbox of this process write here until the block ends.

        So nothing has to be handed in: `Outbox()` in the service's code, a Coordinator and the
        completion of runs end up here.
        """
        # Not `add_all`: this class inherits it, and would call itself.
        names = ("_on_sqlalchemy", "_on_psycopg", "_on_async_psycopg")
        originals = {name: Outbox.__dict__[name] for name in names}
        for name in names:
            setattr(Outbox, name, _handing_to(getattr(self, name)))
        try:
            yield self
        finally:
            for name, original in originals.items():
                setattr(Outbox, name, original)

    def _remarks(self) -> Sequence[str]:
        waiting = sum(len(events) for events in self._by_transaction.values())
        waiting += sum(len(log.entries) for log in self._by_connection.values())
        return [f"({waiting} more wait for the commit of their transaction.)"] if waiting else []

    def _on_sqlalchemy(self, session: Session | Connection, rows: Sequence[Row]) -> None:
        if not rows:
            return
        connection = connection_in_transaction(session)
        note_event(connection)
        if isinstance(session, Session):
            transaction = session.get_nested_transaction() or session.get_transaction()
            if transaction is not None:
                self._follow_session(session)
                self._by_transaction.setdefault(transaction, []).extend(map(_event, rows))
        else:
            log = self._follow_connection(connection)
            if not connection.in_transaction():
                connection.begin()  # as the first statement of a real outbox does
            for row in rows:
                log.add(_event(row))

    def _follow_session(self, session: Session) -> None:
        if session not in self._sessions:
            self._sessions.add(session)
            event.listen(session, "after_commit", self._session_committed)
            event.listen(session, "after_transaction_end", self._session_ended)

    def _session_committed(self, session: Session) -> None:
        ended = session.get_nested_transaction() or session.get_transaction()
        events = self._by_transaction.pop(ended, []) if ended is not None else []
        if ended is not None and ended.nested and ended.parent is not None:
            self._by_transaction.setdefault(ended.parent, []).extend(events)
        else:
            self._committed.extend(events)

    def _session_ended(self, _session: Session, transaction: SessionTransaction) -> None:
        # What was committed is gone from here by now.
        self._by_transaction.pop(transaction, None)

    def _follow_connection(self, connection: Connection) -> SavepointLog[OutboxEvent]:
        if connection not in self._by_connection:
            event.listen(connection, "begin", self._connection_begins)
            event.listen(connection, "after_cursor_execute", self._connection_executed)
            event.listen(connection, "commit", self._connection_commits)
            event.listen(connection, "rollback", self._connection_rolled_back)
            if not event.contains(connection.engine, "handle_error", self._refused):
                event.listen(connection.engine, "handle_error", self._refused)
            self._by_connection[connection] = SavepointLog()
        return self._by_connection[connection]

    def _connection_executed(
        self, connection: Connection, _cursor: Any, statement: str, *_parameters_context_many: Any
    ) -> None:
        self._by_connection[connection].follow(statement)

    def _connection_commits(self, connection: Connection) -> None:
        # Said before the commit, and nothing is said after it but an error.
        kept = list(self._by_connection[connection].entries)
        self._committing[connection] = kept
        self._committed.extend(kept)
        self._by_connection[connection] = SavepointLog()

    def _refused(self, context: ExceptionContext) -> None:
        """The commit of a Connection failed, on a deferred constraint perhaps."""
        if context.connection is not None and context.statement is None:
            for refused in self._committing.pop(context.connection, ()):
                self._committed.remove(refused)

    def _connection_begins(self, connection: Connection) -> None:
        self._committing.pop(connection, None)

    def _connection_rolled_back(self, connection: Connection) -> None:
        self._by_connection[connection] = SavepointLog()

    def _on_psycopg(self, connection: psycopg.Connection[Any], rows: Sequence[Row]) -> None:
        if rows:
            refuse_psycopg_autocommit(connection)
            with psycopg.Cursor(connection) as cursor:
                cursor.execute(_LISTEN)
                cursor.execute(_NOTIFY, (_CHANNEL, self._awaited(connection, rows)))

    async def _on_async_psycopg(
        self, connection: psycopg.AsyncConnection[Any], rows: Sequence[Row]
    ) -> None:
        if rows:
            refuse_psycopg_autocommit(connection)
            async with psycopg.AsyncCursor(connection) as cursor:
                await cursor.execute(_LISTEN)
                await cursor.execute(_NOTIFY, (_CHANNEL, self._awaited(connection, rows)))

    def _awaited(
        self,
        connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any],
        rows: Sequence[Row],
    ) -> list[str]:
        if connection not in self._listening:
            self._listening.add(connection)
            connection.add_notify_handler(self._delivered)
        tokens = [str(uuid4()) for _ in rows]
        self._notified |= dict(zip(tokens, map(_event, rows), strict=True))
        return tokens

    def _delivered(self, notification: psycopg.Notify) -> None:
        # All connections that listen are told; the first takes it.
        if (committed := self._notified.pop(notification.payload, None)) is not None:
            self._committed.append(committed)


def _event(row: Row) -> OutboxEvent:
    """The event as a reader of the table would find it: with the trace context, if there is one."""
    headers = json.loads(row.headers)
    return OutboxEvent(**row._asdict() | {"headers": headers, "is_tombstone": row.payload is None})


def _handing_to(method: Any) -> Any:
    def instead(_outbox: Outbox, target: Any, rows: Sequence[Row]) -> Any:
        return method(target, rows)

    return instead
