"""The rate at which a backlog is published, beside a relay that marks rows and a bare `produce()`;
on a real Kafka of our own also beside Kafka's performance tool.

All publish the same number of the same events to the same topic, one after the other, in rounds: on
a machine that others use too, rounds side by side see the same neighbours, and a ratio holds where
a rate does not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from os import cpu_count, getloadavg
from typing import Final

from relay.bench import events as outbox
from relay.bench.counters import measure
from relay.bench.stage import BrokerKind, Stage, Watcher, set_stage
from relay.bench.turn import RELAY, Contender, Turn
from relay.core.window import CHUNK_BITS

__all__ = ["Drain", "drain"]

# Short enough that the neighbours do not change, long enough that what happens once (the first
# metadata, the plan of the window) is as small a part as in a backlog of millions.
_ROUND_EVENTS: Final = 250_000
_ROUNDS_MAX: Final = 4


@dataclass(slots=True)
class Drain:
    """The figures of a run.

    Attributes:
        kafka_tool: without events where the broker is not a Kafka of our own.
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
    kafka_tool: Contender = field(default_factory=Contender)

    @property
    def relay_cpu_seconds_per_million(self) -> float:
        """User and system time of the relay process, its starts taken off."""
        busy = self.relay.cpu_seconds - self.rounds * self.start_cpu_seconds
        return max(busy, 0.0) / self.relay.events * 1e6

    def to_dict(self) -> dict[str, object]:
        """For JSON. A ratio above 1 says that the relay is the faster."""
        rate = self.relay.events_per_second
        peer, bare = self.skip_locked_update, self.bare_produce
        figures = {
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
        if self.kafka_tool.events:
            tool = self.kafka_tool.events_per_second
            figures["kafka_tool_events_per_second"] = round(tool)
            figures["ratio_to_kafka_tool"] = round(rate / tool, 3)
        return figures


def drain(events: int, broker: BrokerKind, watcher: Watcher) -> Drain:
    """Load `events` and publish them, three times over, or four.

    Raises:
        ServiceFailed, Unreachable: see `set_stage`.
        RelayError: one of them failed, or the broker has other than its events.
    """
    rounds = max(1, min(_ROUNDS_MAX, events // _ROUND_EVENTS))
    load_average = getloadavg()[0]
    with set_stage(broker) as stage:
        outbox.make_peer_table(stage.connection)
        found = Drain(stage.postgres, stage.broker, rounds, load_average, _start_cpu_seconds(stage))
        for number in range(rounds):
            first, last = events * number // rounds + 1, events * (number + 1) // rounds
            turn = Turn(stage, watcher, first, last, events)
            before = outbox.last_position(stage.connection)
            turn.load()
            outbox.copy_for_the_peer(stage.connection, before)
            turn.relay(found.relay)
            turn.baseline("skip locked, update", "skip_locked_update", found.skip_locked_update)
            turn.baseline("bare produce()", "bare_produce", found.bare_produce)
            if stage.own_kafka:
                turn.kafka_tool(found.kafka_tool)
    return found


def _start_cpu_seconds(stage: Stage) -> float:
    """The less of two: the first finds the caches of the machine cold, and all others do not."""
    idle = [measure(RELAY, stage.environment(), tick=lambda: None) for _ in range(2)]
    return min(run.cpu_seconds for run in idle)
