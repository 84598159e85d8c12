"""What the status page shows, read in one look that costs little however much waits."""

from __future__ import annotations

from relay import sql
from relay.core.board import BEHIND_COUNTED_MAX, WAITING_MAX, Board, Connected, Waiting
from relay.core.snapshot import Snapshot
from relay.postgres.connect import Connection, pinned_transaction, translated_errors
from relay.postgres.status_reader import status_within

__all__ = ["read_board"]

PARKED_LOOKED_AT_MAX = 2_000
"""Parked events without a key are looked for among so many. Each is a row of some kilobytes."""

RELAYS_MAX = 100

LOOK_LIMIT_S = 10.0
"""Counting a million pending events takes a second; ten times that is a database in trouble."""

_SQL = sql.load("board")
_WINDOW = sql.load("window")
_WAITING = {
    "limit": WAITING_MAX,
    "count_max": BEHIND_COUNTED_MAX,
    "look_max": PARKED_LOOKED_AT_MAX,
}


def read_board(connection: Connection) -> Board:
    """One look; raises Unreachable, SchemaMismatch or UnsafeDatabase.

    A statement that takes longer than LOOK_LIMIT_S is given up, which is Unreachable too.
    """
    with translated_errors(), pinned_transaction(connection, LOOK_LIMIT_S):
        status = status_within(connection)
        shown = connection.execute(_WINDOW["window_snapshot"]).fetchone()
        passed = connection.execute(_SQL["board_passed"]).fetchone()
        relays = connection.execute(_SQL["board_relays"], {"limit": RELAYS_MAX}).fetchall()
        waiting = connection.execute(_SQL["board_waiting"], _WAITING).fetchall()
    return Board(
        status=status,
        passed=int(str(passed[0])) if passed else 0,
        horizon_age=_age(Snapshot.parse(str(shown and shown[0]))),
        relays=tuple(Connected(*row) for row in relays),  # type: ignore[arg-type]  # by the statement
        waiting=tuple(Waiting(*row) for row in waiting[:WAITING_MAX]),  # type: ignore[arg-type]  # as above
    )


def _age(snapshot: Snapshot) -> int:
    return snapshot.xmax - snapshot.xmin
