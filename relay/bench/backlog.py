"""A backlog of millions: its rate beside that of a tenth of it, the relay's memory, and whether a
page takes longer the more of them were read before.

The tenth is published before and after: a machine gets slower or faster within half an hour.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from os import cpu_count, getloadavg
from statistics import quantiles

from relay.bench import events as outbox
from relay.bench.stage import BrokerKind, Watcher, set_stage
from relay.bench.turn import Contender, Turn
from relay.core.window import CHUNK_BITS

__all__ = ["Backlog", "PageTimes", "backlog"]


@dataclass(frozen=True, slots=True)
class PageTimes:
    """How long pages took, from one stored position to the next, in milliseconds."""

    p50_ms: float
    p99_ms: float

    @classmethod
    def of(cls, seconds: list[float]) -> PageTimes:
        """The median and the 99th percentile of two page times or more."""
        cuts = quantiles(seconds, n=100, method="inclusive")
        return cls(cuts[49] * 1e3, cuts[98] * 1e3)


@dataclass(slots=True)
class Backlog:
    """The figures of a run."""

    postgres: str
    broker: str
    load_average: float
    tenth: Contender = field(default_factory=Contender)
    whole: Contender = field(default_factory=Contender)
    first_pages: PageTimes = PageTimes(0, 0)
    last_pages: PageTimes = PageTimes(0, 0)

    @property
    def ratio(self) -> float:
        """The rate of the whole, of the rate of a tenth of it."""
        return self.whole.events_per_second / self.tenth.events_per_second

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "events": self.whole.events,
            "payload_bytes": outbox.PAYLOAD_BYTES,
            "events_per_second": round(self.whole.events_per_second),
            "tenth_events_per_second": round(self.tenth.events_per_second),
            "ratio_to_tenth": round(self.ratio, 3),
            "peak_memory_mb": round(self.whole.peak_mb, 1),
            "tenth_peak_memory_mb": round(self.tenth.peak_mb, 1),
            "first_pages_p50_ms": round(self.first_pages.p50_ms, 2),
            "first_pages_p99_ms": round(self.first_pages.p99_ms, 2),
            "last_pages_p50_ms": round(self.last_pages.p50_ms, 2),
            "last_pages_p99_ms": round(self.last_pages.p99_ms, 2),
            "page_events": 1 << CHUNK_BITS,
            "postgres": self.postgres,
            "broker": self.broker,
            "cpus": cpu_count(),
            "load_average": round(self.load_average, 2),
        }


def backlog(events: int, broker: BrokerKind, watcher: Watcher) -> Backlog:
    """Publish a tenth of `events`, all of them, and a tenth again.

    Raises:
        ServiceFailed, Unreachable: see `set_stage`.
        RelayError: the relay failed, or the broker has other than the events.
    """
    load_average, tenth = getloadavg()[0], events // 10
    with set_stage(broker) as stage:
        found = Backlog(stage.postgres, stage.broker, load_average)
        start = 1
        for size, figures in ((tenth, found.tenth), (events, found.whole), (tenth, found.tenth)):
            turn = Turn(stage, watcher, start, start + size - 1, events + 2 * tenth)
            turn.load()
            window = turn.relay(figures)
            if figures is found.whole:
                seconds = outbox.page_seconds(stage.connection, window)
                part = len(seconds) // 10
                found.first_pages = PageTimes.of(seconds[:part])
                found.last_pages = PageTimes.of(seconds[-part:])
            start += size
    return found
