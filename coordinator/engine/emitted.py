"""The events of a transaction until its end, without those of savepoints that were rolled back.

Naive: a list. An event that was emitted in a savepoint stays in it when the savepoint is rolled
back, and tells the world of what was never committed. A savepoint that an operation writes as SQL
of its own, or begins on the connection, is not seen here.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

from coordinator.event import OutboxEvent

__all__ = ["Emitted"]


class Emitted:
    """Events in the order of the calls."""

    def __init__(self) -> None:
        self._events: list[tuple[OutboxEvent, SessionTransaction | None]] = []
        self._is_watching = False

    @property
    def events(self) -> tuple[OutboxEvent, ...]:
        """Those that stand."""
        return tuple(one for one, _ in self._events)

    def append(self, one: OutboxEvent, session: Session) -> None:
        """Add an event, which belongs to the savepoint that `session` is in."""
        savepoint = session.get_nested_transaction()
        if savepoint is not None and not self._is_watching:
            # Only where it is needed: a listener costs each rollback of a session that is joined.
            event.listen(session, "after_soft_rollback", self._on_rollback)
            self._is_watching = True
        self._events.append((one, savepoint))

    def close(self, session: Session) -> None:
        """Watch no longer."""
        if self._is_watching:
            event.remove(session, "after_soft_rollback", self._on_rollback)
            self._is_watching = False

    def _on_rollback(self, _: Session, rolled_back: SessionTransaction) -> None:
        # A failed flush rolls the savepoint back, and is told of its own part within that.
        while not rolled_back.nested and rolled_back.parent is not None:
            rolled_back = rolled_back.parent
        self._events = [
            (one, savepoint)
            for one, savepoint in self._events
            if all(around is not rolled_back for around in _around(savepoint))
        ]


def _around(savepoint: SessionTransaction | None) -> Iterator[SessionTransaction]:
    while savepoint is not None:
        yield savepoint
        savepoint = savepoint.parent
