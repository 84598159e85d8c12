"""The rate at which a backlog is published, beside a relay that marks rows and a bare `produce()`.

All three publish the same number of the same events to the same topic, one after the other, in
rounds: on a machine that others use too, rounds side by side see the same neighbours, and a ratio
holds where a rate does not. Every one of them must bring exactly its events to the broker, else
there is no figure.

The first page of each round is left out. A new idempotent producer asks for its id, and when no
connection stands at that moment, asks again after 500 ms: its first page takes 1 or 500 ms, by
chance, which would be half of a round. The relay's planning of the window stays in.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from os import cpu_count, getloadavg
from typing import Final

from relay.bench import events as outbox
from relay.bench.counters import Run, measure
from relay.bench.stage import BrokerKind, Stage, Watcher, set_stage
from relay.core.window import CHUNK_BITS
from relay.errors import RelayError

__all__ = ["Contender", "Drain", "drain"]

# Short enough that the neighbours do not change, long enough that what happens once (the first
# metadata, the plan of the window) is as small a part as in a backlog of millions.
_ROUND_EVENTS: Final = 250_000
_ROUNDS_MAX: Final = 4

_RELAY: Final = ["relay.cli.main", "run", "--until-drained"]


@dataclass(slots=True)
class Contender:
    """What one of the three needed, over all rounds.

    Attributes:
        timed_events, seconds: without the first page of each round; all the rest is of all events.
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
        """Count a round in."""
        self.events += events
        self.timed_events += events if run.events is None else run.events
        self.seconds += run.seconds
        self.cpu_seconds += run.cpu_seconds
        self.wal_bytes += wal_bytes
        self.peak_mb = max(self.peak_mb, run.peak_mb)


@dataclass(slots=True)
class Drain:
    """The figures of a run.

    Attributes:
        start_cpu_seconds: what a relay needs to start and to find nothing. `wait4` counts it, and
            it has nothing to do with the number of events.
    """

    postgres: str
    broker: str
    rounds: int
    load_average: float
    start_cpu_seconds: float
    relay: Contender = field(default_factory=Contender)
    skip_locked_update: Contender = field(default_factory=Contender)
    bare_produce: Contender = field(default_factory=Contender)

    @property
    def relay_cpu_seconds_per_million(self) -> float:
        """User and system time of the relay process, its starts taken off."""
        busy = self.relay.cpu_seconds - self.rounds * self.start_cpu_seconds
        return max(busy, 0.0) / self.relay.events * 1e6

    def to_dict(self) -> dict[str, object]:
        """For JSON. A ratio above 1 says that the relay is the faster."""
        rate = self.relay.events_per_second
        peer, bare = self.skip_locked_update, self.bare_produce
        return {
            "events": self.relay.events,
            "payload_bytes": outbox.PAYLOAD_BYTES,
            "events_per_second": round(rate),
            "relay_cpu_seconds_per_million": round(self.relay_cpu_seconds_per_million, 3),
            "wal_bytes_per_event": round(self.relay.wal_bytes / self.relay.events, 2),
            "peak_memory_mb": round(self.relay.peak_mb, 1),
            "ratio_to_skip_locked_update": round(rate / peer.events_per_second, 3),
            "ratio_to_bare_produce": round(rate / bare.events_per_second, 3),
            "skip_locked_update_events_per_second": round(peer.events_per_second),
            "skip_locked_update_wal_bytes_per_event": round(peer.wal_bytes / peer.events, 2),
            "bare_produce_events_per_second": round(bare.events_per_second),
            "page_events": 1 << CHUNK_BITS,
            "rounds": self.rounds,
            "postgres": self.postgres,
            "broker": self.broker,
            "cpus": cpu_count(),
            "load_average": round(self.load_average, 2),
        }


def drain(events: int, broker: BrokerKind, watcher: Watcher) -> Drain:
    """Load `events` and publish them, three times over.

    Raises:
        ServiceFailed, Unreachable: see `set_stage`.
        RelayError: one of the three failed, or the broker has other than its events.
    """
    rounds = max(1, min(_ROUNDS_MAX, events // _ROUND_EVENTS))
    load_average = getloadavg()[0]
    with set_stage(broker) as stage:
        outbox.make_peer_table(stage.connection)
        idle = measure(_RELAY, stage.environment(), tick=lambda: None)
        found = Drain(stage.postgres, stage.broker, rounds, load_average, idle.cpu_seconds)
        for number in range(rounds):
            first, last = events * number // rounds + 1, events * (number + 1) // rounds
            part = _Round(stage, watcher, first, last, events)
            part.load()
            part.relay(found.relay)
            part.baseline("skip locked, update", "skip_locked_update", found.skip_locked_update)
            part.baseline("bare produce()", "bare_produce", found.bare_produce)
    return found


@dataclass(frozen=True, slots=True)
class _Round:
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
        """Write the events to the outbox and to the peer's table."""
        before = outbox.last_position(self.stage.connection)
        outbox.load(
            self.stage.connection,
            self.stage.topic,
            self.first,
            self.last,
            lambda done: self.watcher.at("load", done, self.total),
        )
        outbox.copy_for_the_peer(self.stage.connection, before)

    def relay(self, figures: Contender) -> None:
        """Publish what waits in the outbox."""
        window = outbox.last_window(self.stage.connection)
        position = outbox.last_position(self.stage.connection) - self.events
        run, wal_bytes = self._publish("relay", _RELAY)
        page = outbox.first_page(self.stage.connection, window + 1)
        if page is not None:
            untimed = page.last_position - position
            run = replace(run, seconds=run.seconds - page.seconds, events=self.events - untimed)
        figures.add(run, self.events, wal_bytes)

    def baseline(self, what: str, name: str, figures: Contender) -> None:
        """Publish the same events without the relay."""
        command = ["relay.bench.baselines", name, self.stage.topic, str(self.events)]
        run, wal_bytes = self._publish(what, command)
        figures.add(run, self.events, wal_bytes)

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
