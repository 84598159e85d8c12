"""The log of windows in PostgreSQL. Each entry is one synchronous commit: it advances the cursor,
makes what it covers durable, and fences, all at once.

Durable: what a snapshot shows need not be flushed yet (`synchronous_commit=off`, or the instant
before the flush). Published and then lost in a crash, such an event would be a phantom. Those
transactions had written their commit records before S was taken, so a later commit that waits for
its own flush has waited for theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg

from relay import sql
from relay.core.cursor import Cursor
from relay.core.inputs import Loaded, NothingAhead, Opened, Saved
from relay.core.numbering import NOTHING, Numbering
from relay.core.parking import Parked
from relay.core.snapshot import Snapshot
from relay.core.window import Page, only_page
from relay.errors import Fenced, SchemaMismatch
from relay.postgres import parking
from relay.postgres.connect import Connection, pinned_transaction, translated_errors
from relay.postgres.window_reader import Asked, ask_page, plan, plan_released, rows_of

__all__ = ["PostgresCursorStore", "read_cursor"]

_CURSOR = sql.load("cursor")
_WINDOW = sql.load("window")
_PARKING = sql.load("parking")

Look = tuple[object, ...] | None
"""S, and of which life of which server, as `window_look` has it."""

_FENCE = "_fence"
"""How the names of the unique indexes on the log end, one of each leaf."""


def read_cursor(connection: Connection) -> Cursor:
    """The newest entry of the log.

    Raises SchemaMismatch when the log is empty, which no relay ever makes it.
    """
    row = connection.execute(_CURSOR["cursor_newest"]).fetchone()
    if row is None:
        raise SchemaMismatch("the log of windows is empty: restore it, or migrate a new database")
    number, step, since, until, last_position, closed, stored_us, numbering, reach, floors = row
    return Cursor(
        number=int(str(number)),
        step=int(str(step)),
        since=Snapshot.parse(str(since)) if since else NOTHING,
        until=Snapshot.parse(str(until)),
        last_position=int(str(last_position)),
        closed=bool(closed),
        numbering=Numbering.of(int(str(numbering)), tuple(floors)),  # type: ignore[arg-type]  # an array
        reach=int(str(reach)),
        window_id=_window_id(int(str(number)), stored_us),
    )


def _window_id(number: int, stored_us: object) -> str:
    """A number may be given again after a failover that lost it; the microsecond at which it was
    stored is then another, and it is written in the row, so no memory is needed to name it."""
    return f"{number}@{stored_us}"


class PostgresCursorStore:
    """See CursorStore. Holds no cursor: what it knows it was handed, or has just read."""

    _empty: tuple[Cursor, Look] | None = None
    """What the last look saw, if nothing was ahead of this cursor."""
    _quiet = False
    """Whether the look before it saw the same."""

    def __init__(self, connection: Connection, owner: str, term: int) -> None:
        self._connection = connection
        self._held = {"owner": owner, "term": term}

    def load(self) -> Loaded:
        """See CursorStore.load."""
        with translated_errors(), pinned_transaction(self._connection):
            # What an earlier life of this term reported may have been mended since.
            self._connection.execute(_CURSOR["cursor_unblock"], self._held)
            cursor = read_cursor(self._connection)
            self._connection.execute(_CURSOR["cursor_durable"])
            held = parking.holds(self._connection, cursor.number)
            return Loaded(cursor, self._pages_left(cursor), held)

    def open_next(self, cursor: Cursor) -> Opened | NothingAhead:
        """See CursorStore.open_next.

        Three round trips: S is asked for, then where its events lie; and the rows of a window of
        one page, its entry and COMMIT go out together. Read before the entry is stored they are the
        same rows, and nobody has them before it is.

        On a quiet server one statement says whether anything was committed since, and costs a
        tenth: of the same life of a server the same S sees the same events, and the same wishes of
        operators. Where others commit all the time it would only be one statement more.
        """
        with translated_errors():
            if self._quiet and self._empty == (cursor, self._look().fetchone()):
                return NothingAhead()
            empty, self._empty, self._quiet = self._empty, None, False
            with self._entering():
                taken = self._look()
                # Asked before the first answer is read, so that both are one round trip.
                wanted = self._connection.execute(_PARKING["parking_wanted"])
                row, wish = taken.fetchone(), wanted.fetchone()
                is_wanted = bool(wish and wish[0])
                if is_wanted and not cursor.releases:
                    return self._open_release(cursor)
                opened, pages = self._ahead(cursor, Snapshot.parse(str(row and row[0])))
                if not pages and is_wanted:
                    return self._open_release(cursor)
                if not pages:
                    self._empty = cursor, row
                    self._quiet = self._empty == empty
                    return NothingAhead()
                page = only_page(pages)
                asked = ask_page(self._connection, opened.window, page) if page else None
                entry = self._append(opened)
                # What the window before carried a part of waits on.
                number = opened.number
                held = parking.holds(self._connection, number) if cursor.releases else None
            rows = rows_of(asked) if asked else None
            return Opened(self._stored(opened, entry), pages, held, rows)

    def save(self, cursor: Cursor, *, unblocks: bool, parked: tuple[Parked, ...] = ()) -> Saved:
        """See CursorStore.save. One round trip where nothing is parked or released."""
        with translated_errors():
            with self._entering():
                entry = self._append(cursor)
                if parked or cursor.releases:
                    # What stands beside an entry is not to be committed without it.
                    self._stored(cursor, entry)
                if parked:
                    parking.park(self._connection, parked, again=cursor.releases)
                if cursor.releases:
                    parking.done(self._connection, cursor.last_position)
                if unblocks:
                    self._connection.execute(_CURSOR["cursor_unblock"], self._held)
            if not (parked or cursor.releases):
                self._stored(cursor, entry)
        return Saved(cursor)

    def report_blocked(self, event_id: str, reason: str) -> None:
        """See CursorStore.report_blocked."""
        with translated_errors():
            self._connection.execute(
                _CURSOR["cursor_block"],
                {"event": event_id, "reason": reason, **self._held},
            )

    def _look(self) -> Asked:
        return self._connection.execute(_WINDOW["window_look"])

    @contextmanager
    def _entering(self) -> Iterator[None]:
        """A transaction that writes the next entry, and does not wait for a frozen leader's."""
        try:
            with pinned_transaction(self._connection):
                yield
        except psycopg.errors.LockNotAvailable:
            self._connection.execute(_CURSOR["cursor_end_former"])
            raise
        except psycopg.errors.UniqueViolation as problem:
            if not str(problem.diag.constraint_name).endswith(_FENCE):
                raise
            raise Fenced("the next entry was written by another") from None

    def _ahead(self, cursor: Cursor, now: Snapshot) -> tuple[Cursor, tuple[Page, ...]]:
        """The next window that is not empty, and its pages; none if all up to `now` are."""
        for ahead in cursor.ahead(now):
            if pages := plan(self._connection, ahead.window, after=0):
                return ahead.holding(pages), pages
        return cursor, ()

    def _open_release(self, cursor: Cursor) -> Opened:
        """The window that carries out what operators want; empty where that is only a hold."""
        opened = cursor.opened(cursor.until)
        opened = self._stored(opened, self._append(opened))
        held = parking.release(self._connection, opened.number)
        return Opened(opened, plan_released(self._connection, after=0), held)

    def _pages_left(self, cursor: Cursor) -> tuple[Page, ...]:
        if cursor.closed:
            return ()
        if cursor.releases:
            return plan_released(self._connection, cursor.last_position)
        return plan(self._connection, cursor.window, cursor.last_position)

    def _append(self, cursor: Cursor) -> Asked:
        """Ask for the entry to be written. `_stored` says whether it was."""
        entry = {
            "number": cursor.number,
            "step": cursor.step,
            "snapshot": str(cursor.until) if cursor.step == 0 else None,
            "last_position": cursor.last_position,
            "closed": cursor.closed,
            "numbering": cursor.numbering.index,
            "reach": cursor.reach,
            **self._held,
        }
        return self._connection.execute(_CURSOR["cursor_append"], entry)

    def _stored(self, cursor: Cursor, entry: Asked) -> Cursor:
        """The cursor under the name that its window has; raises Fenced when the term is over."""
        written = entry.fetchone()
        if written is None:
            raise Fenced(f"term {self._held['term']} is over")
        return replace(cursor, window_id=_window_id(cursor.number, written[0]))
