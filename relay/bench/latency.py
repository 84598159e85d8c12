"""How long a committed event is under way, and what a relay costs that has nothing to do.

For both ways to wake up, polling and listening; at 1,000 events/s, where neither sleeps, and at
10, where listening has its use. From the moment when the writer knows of its commit to the moment
when a consumer has the record: what the consumer takes to fetch it is in the figure, so that from
commit to acknowledgement is less.

Idle is measured once 10 s have passed without an event. The queries are transactions, as the server
counts them for the database: looks, renewals of the lease, housekeeping, all there is.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import cpu_count, getloadavg
from pathlib import Path
from statistics import quantiles
from time import monotonic
from typing import Final

from relay.bench.counters import cpu_seconds
from relay.bench.pace import NUMBER_BYTES
from relay.bench.stage import BrokerKind, Stage, Watcher, set_stage
from relay.core.pacing import IDLE_AFTER_S
from relay.demo.kept_process import KeptProcess
from relay.errors import RelayError
from relay.postgres.wakeup import switch_wakeup

__all__ = ["MODES", "RATES", "Latency", "Mode", "latency"]

MODES: Final = ("poll", "listen")
RATES: Final = (1_000, 10)
"""Events a second."""

_LEADING_TIMEOUT_S: Final = 30.0
_DELIVERED_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.1
# The first metadata, and the first plans of the writers' statements.
_WARM_UP_S: Final = 1
# The server counts what a session did up to a second later, when it does the next thing.
_COUNTED_WITHIN_S: Final = 3.0


@dataclass(slots=True)
class Mode:
    """One way to wake up.

    Attributes:
        under_way_s: of each event, by the rate.
        idle_queries_per_second, idle_cpu_percent: of one core.
    """

    under_way_s: dict[int, list[float]] = field(default_factory=dict)
    idle_queries_per_second: float = 0.0
    idle_cpu_percent: float = 0.0

    def percentile_ms(self, rate: int, percent: int) -> float:
        """So many per cent of the events at `rate` were faster."""
        return quantiles(self.under_way_s[rate], n=100)[percent - 1] * 1_000


@dataclass(slots=True)
class Latency:
    """The figures of a run."""

    postgres: str
    broker: str
    seconds: int
    load_average: float
    modes: dict[str, Mode] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "modes": {name: self._mode(mode) for name, mode in self.modes.items()},
            "seconds": self.seconds,
            "postgres": self.postgres,
            "broker": self.broker,
            "cpus": cpu_count(),
            "load_average": round(self.load_average, 2),
        }

    def _mode(self, mode: Mode) -> dict[str, object]:
        rates = {
            str(rate): {
                "events": len(under_way_s),
                "p50_ms": round(mode.percentile_ms(rate, 50), 2),
                "p99_ms": round(mode.percentile_ms(rate, 99), 2),
            }
            for rate, under_way_s in mode.under_way_s.items()
        }
        return {
            "events_per_second": rates,
            "idle_queries_per_second": round(mode.idle_queries_per_second, 2),
            "idle_cpu_percent": round(mode.idle_cpu_percent, 2),
        }


def latency(seconds: int, broker: BrokerKind, watcher: Watcher) -> Latency:
    """Write at each rate for `seconds`, then nothing for as long; once polling, once listening.

    Raises:
        ServiceFailed, Unreachable: see `set_stage`.
        RelayError: the relay or a writer ended, or events did not arrive within 30 s.
    """
    load_average = getloadavg()[0]
    with set_stage(broker) as stage:
        found = Latency(stage.postgres, stage.broker, seconds, load_average)
        for name in MODES:
            switch_wakeup(stage.database_url, on=name == "listen")
            with _relay(stage, name) as relay:
                found.modes[name] = _measured(stage, relay, name, seconds, watcher)
    return found


def _measured(stage: Stage, relay: KeptProcess, name: str, seconds: int, watcher: Watcher) -> Mode:
    mode = Mode()
    for done, rate in enumerate(RATES, start=1):
        under_way_s = _under_way_s(stage, rate, (seconds + _WARM_UP_S) * rate)
        mode.under_way_s[rate] = under_way_s[_WARM_UP_S * rate :]
        watcher.at(name, done, len(RATES) + 1)
    threading.Event().wait(IDLE_AFTER_S + _COUNTED_WITHIN_S)
    queries, cpu_s, begin_s = _queries(stage), cpu_seconds(relay.pid), monotonic()
    threading.Event().wait(seconds)
    queries, cpu_s = _queries(stage) - queries, cpu_seconds(relay.pid) - cpu_s
    lasted_s = monotonic() - begin_s
    # One of the queries was the counting itself.
    mode.idle_queries_per_second = (queries - 1) / lasted_s
    mode.idle_cpu_percent = cpu_s / lasted_s * 100
    watcher.at(name, len(RATES) + 1, len(RATES) + 1)
    return mode


@contextmanager
def _relay(stage: Stage, wakeup: str) -> Iterator[KeptProcess]:
    """A relay that leads; stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="outbox-relay-bench-") as folder:
        relay = KeptProcess(
            [sys.executable, "-m", "relay.cli.main", "run"],
            log=Path(folder) / "log",
            scratch=Path(folder),
            environment={**stage.environment(), "RELAY_WAKEUP": wakeup},
        )
        try:
            leading = b'"event": "leading"'
            yield relay.until_ready(lambda: leading in relay.log.read_bytes(), _LEADING_TIMEOUT_S)
        finally:
            relay.stop()


def _under_way_s(stage: Stage, rate: int, events: int) -> list[float]:
    """Of each of `events` at `rate`, from its commit to a consumer, by number."""
    with stage.follower() as next_value:
        writer = subprocess.Popen(
            [sys.executable, "-m", "relay.bench.pace", stage.topic, str(rate), str(events)],
            env=stage.environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        seen_s: dict[int, float] = {}
        deadline_s = monotonic() + events / rate + _DELIVERED_TIMEOUT_S
        while len(seen_s) < events and monotonic() < deadline_s:
            value = next_value(_POLL_S)
            if value is not None:
                seen_s[int.from_bytes(value[:NUMBER_BYTES], "big")] = monotonic()
        committed = writer.communicate()[0]
    if writer.returncode or len(seen_s) < events:
        raise RelayError(
            f"{len(seen_s)} of {events} events arrived; the writer ended with {writer.returncode}"
        )
    # A consumer may have it before the writer has heard of its own commit.
    ends_s = json.loads(committed)
    return [max(0.0, seen_s[number] - ends_s[number]) for number in range(events)]


def _queries(stage: Stage) -> int:
    """How many transactions the database has ended."""
    row = stage.connection.execute(
        "select xact_commit + xact_rollback from pg_stat_database"
        " where datname = current_database()"
    ).fetchone()
    return int(str(row and row[0]))
