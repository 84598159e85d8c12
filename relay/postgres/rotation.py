"""Leaves of the rings in PostgreSQL, emptied one at a time; retention.py says why that is safe.

Read committed, and each statement on its own: the look under the lock must have a newer snapshot
than the lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import LiteralString

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from relay import sql
from relay.core.blockers import Blocker, Blockers
from relay.core.retention import Emptied, Milestone, Survey, published
from relay.core.snapshot import Snapshot
from relay.errors import Fenced, SchemaMismatch
from relay.postgres.connect import Connection, pinned_transaction, translated_errors
from relay.postgres.cursor_store import read_cursor

__all__ = ["PostgresRotation", "read_blockers"]

_SQL = sql.load("rotation")
_BLOCKERS = sql.load("blockers")

# The lock was not to be had at once; or what was done under it took longer than anybody should be
# kept waiting: so much was written and rolled back that the index has to be searched.
_IN_USE = (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled)


class PostgresRotation:
    """See Rotation. Needs TRUNCATE on the leaves, which whoever migrated may grant."""

    def __init__(self, connection: Connection, owner: str, term: int) -> None:
        self._connection = connection
        self._held = {"owner": owner, "term": term}

    def mark(self, every_s: float) -> None:
        """See Rotation.mark."""
        with translated_errors(), pinned_transaction(self._connection):
            now = published(read_cursor(self._connection))
            entry = {"number": now.number, "snapshot": str(now.snapshot), "every_s": every_s}
            self._connection.execute(_SQL["rotation_mark"], {**entry, **self._held})

    def survey(self, retention_s: float) -> Survey:
        """See Rotation.survey."""
        with translated_errors(), pinned_transaction(self._connection):
            cursor = read_cursor(self._connection)
            asked = {"retention_s": retention_s}
            row = self._connection.execute(_SQL["rotation_survey"], asked).fetchone()
        if row is None:
            raise SchemaMismatch("the rings are not there: run `relay migrate`")
        position, event_bytes, log_bytes, number, snapshot = row
        old = None if number is None else Milestone(_int(number), Snapshot.parse(str(snapshot)))
        return Survey(_int(position), _ints(event_bytes), cursor.number, _ints(log_bytes), old)

    def forget_before(self, milestone: Milestone) -> None:
        """See Rotation.forget_before."""
        with translated_errors():
            parameters = {"number": milestone.number, **self._held}
            self._connection.execute(_SQL["rotation_forget"], parameters)

    def empty_events(self, slot: int, old: Snapshot | None) -> Emptied:
        """See Rotation.empty_events."""
        leaf = Identifier(f"event_{slot}")
        try:
            with self._locked(leaf):
                now = published(read_cursor(self._connection))
                known = [now.snapshot] if old is None else [now.snapshot, old]
                if any(self._needs(leaf, c, now.floor) for c in known):
                    return Emptied.NEEDED
                self._connection.execute(_on(leaf, "rotation_truncate"))
        except _IN_USE:
            return Emptied.IN_USE
        return Emptied.EMPTIED

    def empty_log(self, slot: int, keep_s: float) -> Emptied:
        """See Rotation.empty_log."""
        leaf = Identifier(f"window_{slot}")
        try:
            with self._locked(leaf):
                needed = {"number": read_cursor(self._connection).number - 1, "keep_s": keep_s}
                if self._is_true(_on(leaf, "rotation_log_needed"), needed):
                    return Emptied.NEEDED
                self._connection.execute(_on(leaf, "rotation_truncate"))
        except _IN_USE:
            return Emptied.IN_USE
        return Emptied.EMPTIED

    def blockers(self, after_s: float) -> Blockers:
        """See Rotation.blockers."""
        with translated_errors():
            return read_blockers(self._connection, after_s)

    @contextmanager
    def _locked(self, leaf: Identifier) -> Iterator[None]:
        """A transaction with `leaf` to itself, and this term still leading."""
        with _all_but_in_use(), self._connection.transaction():
            self._connection.execute(_SQL["rotation_settings"])
            self._connection.execute(_on(leaf, "rotation_lock"))
            if self._connection.execute(_SQL["rotation_term"], self._held).rowcount != 1:
                raise Fenced(f"term {self._held['term']} is over")
            yield

    def _needs(self, leaf: Identifier, c: Snapshot, floor: int) -> bool:
        # As text: the driver would bind small ids as smallint, which cannot become xid8.
        xip = "{" + ",".join(map(str, sorted(c.xip))) + "}"
        bounds = {"xmax": str(c.xmax), "xip": xip, "floor": floor}
        return self._is_true(_on(leaf, "rotation_needed"), bounds)

    def _is_true(self, statement: Composed, parameters: Mapping[str, object]) -> bool:
        row = self._connection.execute(statement, parameters).fetchone()
        return row is None or bool(row[0])


def read_blockers(connection: Connection, after_s: float) -> Blockers:
    """Who has held the events for longer than `after_s`, as far as this role may see."""
    rows = connection.execute(_BLOCKERS["blockers_named"], {"after_s": after_s}).fetchall()
    named = tuple(
        Blocker(
            pid=None if pid is None else _int(pid),
            gid=None if gid is None else str(gid),
            application_name=str(application),
            state=str(state),
            age_seconds=float(str(age_s)),
            delays_events=bool(writes),
        )
        for pid, gid, application, state, age_s, writes in rows
        if age_s is not None
    )
    return Blockers(named, hidden=len(rows) - len(named))


@contextmanager
def _all_but_in_use() -> Iterator[None]:
    """Ours for the driver's errors, but for those that the caller tells apart."""
    in_use: psycopg.Error | None = None
    with translated_errors():
        try:
            yield
        except _IN_USE as problem:
            in_use = problem
    if in_use is not None:
        raise in_use


def _on(leaf: Identifier, statement: str) -> Composed:
    text: LiteralString = _SQL[statement]
    return SQL(text).format(leaf=leaf)


def _int(value: object) -> int:
    return int(str(value))


def _ints(values: object) -> tuple[int, ...]:
    return tuple(_int(value) for value in values)  # type: ignore[attr-defined]  # an array, by the statement
