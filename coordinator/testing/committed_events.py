"""The events that were committed to the real outbox since a test began.

Naive: those whose position is above the highest at the start. A transaction that drew its position
before the start and committed after it would be missed. So it is asked as the relay asks: what is
visible now, and was not in the snapshot of the start.

A test that wraps everything in an outer transaction which is rolled back hands in that
transaction's connection. Its events are visible there and nowhere else. They all have its
transaction id, whose place in the snapshot says nothing, so for them alone the position decides: a
transaction draws its own in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg
from sqlalchemy import Connection, Engine, make_url
from sqlalchemy.orm import Session

from coordinator.errors import WrongUse
from coordinator.event import OutboxEvent
from coordinator.outbox_schema import DEFAULT, in_schema
from coordinator.testing.published import PublishedEvents

__all__ = ["CommittedEvents", "Database"]

Database: TypeAlias = Engine | Connection | Session | psycopg.Connection[Any] | str

_START = """select pg_current_snapshot()::text, coalesce(max(position), 0)
from outbox.event where txid = pg_current_xact_id_if_assigned()"""
_SINCE = """select id, topic, key, type, content_type, payload, headers from outbox.event
where case when txid = pg_current_xact_id_if_assigned() then position > %(own)s
    else not pg_visible_in_snapshot(txid, %(snapshot)s::pg_snapshot) end
order by position"""


class CommittedEvents(PublishedEvents):
    """The events of the real outbox that became visible since this was made."""

    def __init__(self, database: Database, *, schema: str = DEFAULT) -> None:
        """Remember what is there.

        Args:
            database: an Engine on psycopg, or the address of the database (of an AsyncEngine too:
                `engine.url.render_as_string(hide_password=False)`), to see what is committed; the
                Connection or Session of SQLAlchemy, or the connection of psycopg, whose outer
                transaction the test rolls back.
            schema: of the outbox.
        """
        self._database = database
        self._schema = schema
        snapshot, own = self._query(_START, {})[0]
        self._start = {"snapshot": snapshot, "own": own}

    @property
    def events(self) -> Sequence[OutboxEvent]:
        """The events so far, in the order of their positions; each look is a query."""
        return [_event(*row) for row in self._query(_SINCE, self._start)]

    def _query(self, statement: str, parameters: Mapping[str, Any]) -> Sequence[Any]:
        statement = in_schema(statement, self._schema)
        with _opened(self._database) as connection:
            if isinstance(connection, Connection):
                return connection.exec_driver_sql(statement, dict(parameters)).all()
            with psycopg.Cursor(connection) as cursor:
                return cursor.execute(statement.encode(), parameters).fetchall()

    def _remarks(self) -> Sequence[str]:
        hint = "Where the test holds an outer transaction, give its connection as"
        if isinstance(self._database, Engine | str):
            return [f"(What is not committed is not seen. {hint} `outbox_database`.)"]
        return ()


@contextmanager
def _opened(database: Database) -> Iterator[Connection | psycopg.Connection[Any]]:
    if isinstance(database, Engine):
        with database.connect() as connection:
            yield connection
    elif isinstance(database, str):
        # A driver in the name is SQLAlchemy's, and libpq knows none.
        address = make_url(database).set(drivername="postgresql")
        with psycopg.connect(address.render_as_string(hide_password=False)) as opened:
            yield opened
    elif isinstance(database, Session):
        yield database.connection()
    elif isinstance(database, Connection | psycopg.Connection):
        yield database
    else:
        raise WrongUse(
            f"cannot read events on a {type(database).__name__}: give an Engine, Connection or "
            "Session of SQLAlchemy, a connection of psycopg, or the address of the database"
        )


def _event(
    id_: Any, topic: str, key: str | None, type_: str, content_type: str, payload: Any, headers: Any
) -> OutboxEvent:
    return OutboxEvent(
        id=id_,
        topic=topic,
        key=key,
        type=type_,
        content_type=content_type,
        payload=None if payload is None else bytes(payload),
        headers=headers,
        is_tombstone=payload is None,
    )
