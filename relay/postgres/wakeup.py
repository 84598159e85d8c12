"""Sleeping until a writer wakes the relay, in PostgreSQL: the sleep lock, LISTEN and NOTIFY.

On a connection of its own that nothing else is asked on, so that a notification is never read in
passing. The lock is the session's: whatever ends the connection ends the sleep for the writers too.
"""

from __future__ import annotations

from collections.abc import Callable
from selectors import EVENT_READ, DefaultSelector

from relay import sql
from relay.address import Place
from relay.errors import BadConfiguration
from relay.postgres.connect import Connection, connect, translated_errors

__all__ = ["PostgresWakeup", "check_wakeup", "switch_wakeup"]

_SQL = sql.load("wakeup")

STOP_SEEN_WITHIN_S = 0.1
"""A signal does not end a wait for the database, so it is made in pieces; they ask it nothing."""

LOCK_TIMEOUT_MS = 3_000
"""Writers wait behind the one who waits for their table's lock; as long as for a migration."""


class PostgresWakeup:
    """See Wakeup."""

    def __init__(self, place: Place) -> None:
        self._connection = connect(place, "wakeup")
        with translated_errors():
            self._connection.execute(_SQL["wakeup_listen"])

    def lie_down(self) -> bool:
        """See Wakeup.lie_down."""
        with translated_errors():
            row = self._connection.execute(_SQL["wakeup_lie_down"]).fetchone()
        return bool(row and row[0])

    def sleep(self, seconds: float, stopping: Callable[[], bool]) -> bool:
        """See Wakeup.sleep."""
        pieces = max(1, round(seconds / STOP_SEEN_WITHIN_S))
        # Asked first: what came with an earlier answer makes the socket readable no more.
        return self._notified() or any(
            self._readable(seconds / pieces) and self._notified()
            for _ in range(pieces)
            if not stopping()
        )

    def rise(self) -> None:
        """See Wakeup.rise."""
        with translated_errors():
            self._connection.execute(_SQL["wakeup_rise"])

    def close(self) -> None:
        """Give the connection back, and with it the lock."""
        self._connection.close()

    def _readable(self, within_s: float) -> bool:
        """A third of the processor time that the driver's own wait takes."""
        with translated_errors(), DefaultSelector() as selector:
            selector.register(self._connection.fileno(), EVENT_READ)
            return bool(selector.select(within_s))

    def _notified(self) -> bool:
        with translated_errors():
            return any(True for _ in self._connection.notifies(timeout=0, stop_after=1))


def check_wakeup(connection: Connection) -> None:
    """Raises BadConfiguration where writers cannot wake a relay that is connected like this."""
    with translated_errors():
        row = connection.execute(_SQL["wakeup_fit"]).fetchone()
    server_pid, switched_on = row or (None, False)
    if server_pid != connection.info.backend_pid:
        raise BadConfiguration(
            "RELAY_WAKEUP: listen needs a connection to the database itself, and "
            "RELAY_DATABASE_URL leads through a pooler: give the database's address, or poll"
        )
    if not switched_on:
        raise BadConfiguration(
            "RELAY_WAKEUP: listen needs writers that notify: run `relay migrate --wakeup listen`"
        )


def switch_wakeup(place: Place, *, on: bool) -> None:
    """Have writers notify a relay that sleeps, or spare them the sleep lock.

    Args:
        place: for the owner of the schema, which is at the newest revision.
        on: which of the two.

    Raises:
        UnsafeDatabase: the schema is another's.
        SchemaMismatch: the schema is missing or older.
        Unreachable: no connection, or the table's lock was not free within 3 s; nothing was
            changed.
    """
    connection = connect(place, "migrate")
    with connection, translated_errors(place), connection.transaction():
        connection.execute(_SQL["wakeup_lock_timeout"], {"ms": str(LOCK_TIMEOUT_MS)})
        connection.execute(_SQL["wakeup_on" if on else "wakeup_off"])
