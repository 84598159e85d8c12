"""The rate at which a backlog is published while a writer holds a transaction open.

The open transaction has written events of its own before the backlog and is older than all of it,
so a relay that waits for the oldest transaction would publish nothing. Without one and with one the
same number of events is published, in turns that change places from round to round.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from os import cpu_count, getloadavg
from typing import Final

from relay.bench import events as outbox
from relay.bench.stage import BrokerKind, Stage, Watcher, set_stage
from relay.bench.turn import Contender, Turn
from relay.postgres.connect import connect

__all__ = ["HELD_EVENTS", "LongTransaction", "longtx"]

HELD_EVENTS: Final = 10_000
_TURN_EVENTS: Final = 250_000
_ROUNDS_MAX: Final = 4


@dataclass(slots=True)
class LongTransaction:
    """The figures of a run: without an open transaction, and with one."""

    postgres: str
    broker: str
    rounds: int
    load_average: float
    alone: Contender = field(default_factory=Contender)
    held_open: Contender = field(default_factory=Contender)

    @property
    def ratio(self) -> float:
        """The rate with an open transaction, of the rate without one."""
        return self.held_open.events_per_second / self.alone.events_per_second

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "events": self.alone.events,
            "held_events": HELD_EVENTS,
            "payload_bytes": outbox.PAYLOAD_BYTES,
            "events_per_second": round(self.alone.events_per_second),
            "long_transaction_events_per_second": round(self.held_open.events_per_second),
            "ratio_with_long_transaction": round(self.ratio, 3),
            "rounds": self.rounds,
            "postgres": self.postgres,
            "broker": self.broker,
            "cpus": cpu_count(),
            "load_average": round(self.load_average, 2),
        }


def longtx(events: int, broker: BrokerKind, watcher: Watcher) -> LongTransaction:
    """Publish `events` without and `events` with an open transaction.

    Raises:
        ServiceFailed, Unreachable: see `set_stage`.
        RelayError: the relay failed, or the broker has other than the events that were committed.
    """
    rounds = max(1, min(_ROUNDS_MAX, events // _TURN_EVENTS))
    load_average = getloadavg()[0]
    with set_stage(broker) as stage:
        found = LongTransaction(stage.postgres, stage.broker, rounds, load_average)
        turns = [
            Turn(stage, watcher, first + 1, first + events // rounds, 2 * events)
            for first in range(0, 2 * rounds * (events // rounds), events // rounds)
        ]
        for number in range(rounds):
            ways = (_alone, _held_open) if number % 2 == 0 else (_held_open, _alone)
            for way, turn in zip(ways, turns[2 * number :], strict=False):
                way(turn, found)
    return found


def _alone(turn: Turn, found: LongTransaction) -> None:
    turn.load()
    turn.relay(found.alone)


def _held_open(turn: Turn, found: LongTransaction) -> None:
    with _open_transaction(turn.stage):
        turn.load()
        turn.relay(found.held_open)


@contextmanager
def _open_transaction(stage: Stage) -> Iterator[None]:
    """A writer that has written events and does not commit them; they are rolled back."""
    with closing(connect(stage.database_url, "bench writer")) as writer:
        writer.execute("begin")
        outbox.insert(writer, stage.topic, 1, HELD_EVENTS)
        yield
