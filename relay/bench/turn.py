"""A turn: events are loaded, and one contender publishes them all, timed.

Every contender must bring exactly its events to the broker, else there is no figure.

The first page of a turn is left out. A new idempotent producer asks for its id, and when no
connection stands at that moment, asks again after 500 ms: its first page takes 1 or 500 ms, by
chance, which would be half of a turn. The relay's planning of the window stays in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from relay.bench import events as outbox
from relay.bench import kafka_tool
from relay.bench.counters import Run, measure
from relay.bench.stage import Stage, Watcher
from relay.errors import RelayError

__all__ = ["RELAY", "Contender", "Turn"]

RELAY: Final = ["relay.cli.main", "run", "--until-drained"]


@dataclass(slots=True)
class Contender:
    """What one of them needed, over all its turns.

    Attributes:
        timed_events, seconds: without the first page of each turn; all the rest is of all events.
    """

    events: int = 0
    timed_events: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    wal_bytes: int = 0
    peak_mb: float = 0.0

    @property
    def events_per_second(self) -> float:
        return self.timed_events / self.seconds

    def add(self, run: Run, events: int, wal_bytes: int) -> None:
        """Count a turn in."""
        self.events += events
        self.timed_events += events if run.events is None else run.events
        self.seconds += run.seconds
        self.cpu_seconds += run.cpu_seconds
        self.wal_bytes += wal_bytes
        self.peak_mb = max(self.peak_mb, run.peak_mb)


@dataclass(frozen=True, slots=True)
class Turn:
    """Events number `first` to `last` of `total`."""

    stage: Stage
    watcher: Watcher
    first: int
    last: int
    total: int

    @property
    def events(self) -> int:
        return self.last - self.first + 1

    def load(self) -> None:
        """Write the events to the outbox."""
        outbox.load(
            self.stage.connection,
            self.stage.topic,
            self.first,
            self.last,
            lambda done: self.watcher.at("load", done, self.total),
        )

    def relay(self, figures: Contender, what: str = "relay") -> int:
        """Publish what waits in the outbox; the number of the window that it was."""
        window = outbox.last_window(self.stage.connection) + 1
        position = outbox.last_position(self.stage.connection) - self.events
        run, wal_bytes = self._publish(what, RELAY)
        page = outbox.first_page(self.stage.connection, window)
        if page is not None:
            untimed = page.last_position - position
            run = replace(run, seconds=run.seconds - page.seconds, events=self.events - untimed)
        figures.add(run, self.events, wal_bytes)
        return window

    def baseline(self, what: str, name: str, figures: Contender) -> None:
        """Publish the same events without the relay."""
        command = ["relay.bench.baselines", name, self.stage.topic, str(self.events)]
        run, wal_bytes = self._publish(what, command)
        figures.add(run, self.events, wal_bytes)

    def kafka_tool(self, figures: Contender) -> None:
        """Produce as many records of the same size with Kafka's own tool."""
        stage = self.stage
        timed, seconds = kafka_tool.produce(stage.bootstrap_servers, stage.topic, self.events)
        self.watcher.at("Kafka's own tool", self.last, self.total)
        figures.add(Run(seconds, timed, 0.0, 0.0), self.events, 0)

    def _publish(self, what: str, command: list[str]) -> tuple[Run, int]:
        stage = self.stage
        records, wal_bytes = stage.records(), stage.wal_bytes()

        def published() -> int:
            count = stage.records() - records
            self.watcher.at(what, self.first - 1 + count, self.total)
            return count

        run = measure(command, stage.environment(), tick=published)
        wal_bytes = stage.wal_bytes() - wal_bytes
        if (count := published()) != self.events:
            raise RelayError(f"{what}: the broker was given {count} events, and not {self.events}")
        return run, wal_bytes
