"""An event as it is read and handed over."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Row", "Rows", "event_id", "position", "topic"]

Row = tuple[int, str, str, str | None, str, str, bytes | None, str, str | None]
"""position, id, topic, key, type, content type, payload, time (RFC 3339), headers (JSON text, None
when empty).

A plain tuple, as the driver makes it: at 300,000 events/s a class of our own would cost as much as
reading the row."""

Rows = Sequence[Row]


def position(row: Row) -> int:
    """Where the event stands in its window."""
    return row[0]


def event_id(row: Row) -> str:
    """The event's idempotency key."""
    return row[1]


def topic(row: Row) -> str:
    """Where the event goes."""
    return row[2]
