"""The figures that people watch, read from where they are true."""

from __future__ import annotations

from dataclasses import dataclass

from relay.demo import tables
from relay.demo.cast import Cast, Player
from relay.demo.ledger import Ledger
from relay.postgres.connect import Connection
from relay.postgres.status_reader import read_status


@dataclass(frozen=True, slots=True)
class RelayState:
    """One relay: its name for people, its process id, and what it does."""

    name: str
    pid: int
    state: str


@dataclass(frozen=True, slots=True)
class Figures:
    """One look at everything. `lag_s` is the age of the oldest event that waits."""

    runs: int
    committed: int
    incidents: int
    rolled_back: int
    events: int
    published: int
    waiting: int
    lag_s: float
    consumed: int
    dropped: int
    relays: tuple[RelayState, ...]


class Watch:
    """Looks, on a connection of its own.

    Attributes:
        leader: the relay that held the lease at the last look.
    """

    def __init__(self, connection: Connection, ledger: Ledger, cast: Cast, runs: int) -> None:
        self._connection = connection
        self._ledger = ledger
        self._cast = cast
        self._runs = runs
        self._published = 0
        self.leader: Player | None = None

    def look(self) -> Figures:
        """Read them all."""
        tally = self._ledger.tally()
        status = read_status(self._connection)
        taken, read = tables.counts(self._connection)
        self.leader = self._cast.relay_of(status.leader)
        # An event that was committed after the tally waits and is not counted as an event yet.
        self._published = max(self._published, tally.events - status.pending)
        return Figures(
            runs=self._runs,
            committed=tally.committed,
            incidents=tally.incidents,
            rolled_back=tally.rolled_back,
            events=tally.events,
            published=self._published,
            waiting=status.pending,
            lag_s=status.oldest_pending_seconds,
            consumed=taken,
            dropped=read - taken,
            relays=tuple(
                RelayState(one.name, one.pid, self._state_of(one, status.term))
                for one in self._cast.relays
            ),
        )

    def _state_of(self, relay: Player, term: int) -> str:
        if relay.killed:
            return "killed"
        return f"leads, term {term}" if relay is self.leader else "stands by"
