"""Events written as any client would, by SQL, and what a test asks of the database afterwards."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.support.consume import Record

Connection = psycopg.Connection[tuple[Any, ...]]


def connected(url: str) -> Connection:
    """A connection in autocommit; close it, or use it as a context."""
    return psycopg.connect(url, autocommit=True)


def emit(
    url: str, topic: str, *, key: str | None = "k", payload: bytes | None = b"{}", count: int = 1
) -> list[str]:
    """Write `count` equal events in one transaction; their ids in the order of writing."""
    with connected(url) as connection:
        rows = connection.execute(
            "select outbox.emit(%s, %s, 'thing.happened', %s)::text from generate_series(1, %s)",
            (topic, key, payload, count),
        ).fetchall()
    return [row[0] for row in rows]


def fill(url: str, count: int, *, topic: str = "topic") -> None:
    """Write `count` small events quickly, in one transaction."""
    with connected(url) as connection:
        connection.execute(
            "insert into outbox.event (topic, key, type, payload)"
            " select %s, 'key-' || n %% 100, 'thing.happened', decode(repeat('ab', 100), 'hex')"
            " from generate_series(1, %s) n",
            (topic, count),
        )


def value_of(url: str, query: str) -> Any:
    """The one value that `query` gives."""
    with connected(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def idempotency_key(record: Record) -> str:
    """The id of the event, as a consumer reads it."""
    value = record.header("ce_id")
    assert value is not None
    return value.decode()
