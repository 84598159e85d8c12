"""The figures of `relay status`, read in one look."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import isfinite

from relay import sql
from relay.core.blockers import BLOCKS_AFTER_S
from relay.core.cursor import Cursor
from relay.core.manner import Manner
from relay.core.snapshot import Snapshot
from relay.core.status import PENDING_COUNTED_MAX, Blocked, Retained, Status
from relay.postgres.connect import Connection, pinned_transaction, translated_errors
from relay.postgres.cursor_store import read_cursor
from relay.postgres.rotation import read_blockers
from relay.postgres.window_reader import xid_arrays

__all__ = ["pending_ranges", "read_status", "status_within"]

_SQL = sql.load("status")
_WINDOW = sql.load("window")


def read_status(connection: Connection) -> Status:
    """What is pending, who leads, what is in the way; raises Unreachable or SchemaMismatch."""
    with translated_errors(), pinned_transaction(connection):
        return status_within(connection)


def status_within(connection: Connection) -> Status:
    """The same in the pinned transaction that the caller has begun, for who reads more in it."""
    cursor = read_cursor(connection)
    pending, oldest_s = _pending(connection, cursor)
    lease = connection.execute(_SQL["status_lease"]).fetchone()
    sessions = connection.execute(_SQL["status_manner"], {}).fetchall()
    parked = connection.execute(_SQL["status_parked"]).fetchone()
    retained = _retained(connection)
    blockers = read_blockers(connection, BLOCKS_AFTER_S)
    if lease is None or parked is None:
        raise AssertionError("lease and count are one row each")
    leader, term, event, reason, since_s = lease
    manner = Manner.leading(str(leader), (str(one) for (one,) in sessions))
    return Status(
        pending=pending,
        oldest_pending_seconds=oldest_s,
        leader=None if leader is None else str(leader),
        term=int(str(term)),
        parked=int(str(parked[0])),
        held=int(str(parked[1])),
        window=cursor.number,
        blocked=Blocked(str(event), str(reason), float(str(since_s))) if event else None,
        retained=retained,
        blockers=blockers,
        delivery=None if manner is None else manner.delivery,
        envelope=None if manner is None else manner.envelope,
    )


def _pending(connection: Connection, cursor: Cursor) -> tuple[int, float]:
    parameters = {**pending_ranges(connection, cursor), "limit": PENDING_COUNTED_MAX}
    counted = connection.execute(_SQL["status_pending"], parameters).fetchone()
    if counted is None:
        raise AssertionError("a count is one row")
    oldest_s = float(str(counted[1]))
    # A writer of his own SQL may have given `infinity`, which is no JSON.
    return int(str(counted[0])), oldest_s if isfinite(oldest_s) else 0.0


def pending_ranges(connection: Connection, cursor: Cursor) -> dict[str, str]:
    """Where the committed events lie that are not published yet, as statements are bound to it."""
    row = connection.execute(_WINDOW["window_snapshot"]).fetchone()
    now = Snapshot.parse(str(row and row[0]))
    windows = [one.window for one in cursor.ahead(now)]
    if not cursor.closed:
        rest_above = max(cursor.numbering.above, cursor.last_position)
        windows.append(replace(cursor.window, above=rest_above))
    spans = [(span, window) for window in windows for span in window.ranges()]
    low, high = xid_arrays([span for span, _ in spans])
    return {
        "low": low,
        "high": high,
        "after": _array(window.above for _, window in spans),
        "upto": _array(window.upto for _, window in spans),
    }


def _array(numbers: Iterable[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"


def _retained(connection: Connection) -> Retained:
    row = connection.execute(_SQL["status_retained"]).fetchone()
    if row is None:
        raise AssertionError("a sum is one row")
    ring_bytes, in_use, oldest_s = row
    oldest = None if oldest_s is None else float(str(oldest_s))
    return Retained(int(str(ring_bytes)), int(str(in_use)), oldest)
