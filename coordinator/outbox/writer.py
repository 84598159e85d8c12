"""Outbox.add: an event becomes a row of the caller's own transaction, and lives or dies with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, insert
from sqlalchemy.orm import Session

from coordinator.errors import NoTransaction
from coordinator.event import OutboxEvent
from coordinator.outbox.table import outbox_event

_INSERT = insert(outbox_event)


class Outbox:
    """Writes events; holds no state, so one may be shared by all threads.

    Order: events of one key reach Kafka in commit order if their writers take a lock for the key
        *before* they add (the row of the aggregate, or `pg_advisory_xact_lock`) and hold it to the
        commit. Inside one transaction the order is that of the calls.
    """

    def add(self, session: Session | Connection, event: OutboxEvent) -> None:
        """Write one event in the transaction of `session`; see `add_all`."""
        self.add_all(session, [event])

    def add_all(self, session: Session | Connection, events: Iterable[OutboxEvent]) -> None:
        """Write events in the transaction of `session`, in one statement.

        Args:
            session: a Session or Connection; the caller commits.
            events: in the order in which they shall appear; none is allowed.

        Raises:
            NoTransaction: the connection is in autocommit: an event could exist without its cause.
            sqlalchemy.exc.DBAPIError: the database refused; the transaction is to be rolled back.
        """
        rows = [_row(event) for event in events]
        if not rows:
            return
        connection = session.connection() if isinstance(session, Session) else session
        _refuse_autocommit(connection)
        # A list of dicts, never .values([...]): that compiles a statement as long as the list (2.5
        # times the time).
        connection.execute(_INSERT, rows)


def _row(event: OutboxEvent) -> dict[str, Any]:
    return {
        "id": event.id,
        "topic": event.topic,
        "key": event.key,
        "type": event.type,
        "content_type": event.content_type,
        "payload": event.payload,
        "headers": event.headers,
    }


def _refuse_autocommit(connection: Connection) -> None:
    if getattr(connection.connection.dbapi_connection, "autocommit", False):
        raise NoTransaction(
            "the connection is in autocommit, so the event would be committed without its cause; "
            "write it on a Session or Connection that holds a transaction"
        )
