"""What the status page shows, read in one look that costs little however much waits."""

from __future__ import annotations

from relay import sql
from relay.core.board import BEHIND_COUNTED_MAX, WAITING_MAX, Board, Connected, Waiting
from relay.postgres.connect import Connection, pinned_transaction, translated_errors
from relay.postgres.status_reader import read_status

__all__ = ["read_board"]

PARKED_LOOKED_AT_MAX = 2_000
"""Parked events without a key are looked for among so many. Each is a row of some kilobytes."""

RELAYS_MAX = 100

_SQL = sql.load("board")
_WAITING = {
    "limit": WAITING_MAX,
    "count_max": BEHIND_COUNTED_MAX,
    "look_max": PARKED_LOOKED_AT_MAX,
}


def read_board(connection: Connection) -> Board:
    """One look; raises Unreachable, SchemaMismatch or UnsafeDatabase."""
    status = read_status(connection)
    with translated_errors(), pinned_transaction(connection):
        passed = connection.execute(_SQL["board_passed"]).fetchone()
        relays = connection.execute(_SQL["board_relays"], {"limit": RELAYS_MAX}).fetchall()
        waiting = connection.execute(_SQL["board_waiting"], _WAITING).fetchall()
    return Board(
        status=status,
        passed=int(str(passed[0])) if passed else 0,
        relays=tuple(Connected(*row) for row in relays),  # type: ignore[arg-type]  # by the statement
        waiting=tuple(Waiting(*row) for row in waiting[:WAITING_MAX]),  # type: ignore[arg-type]  # as above
    )
