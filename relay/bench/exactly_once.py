"""What exactly-once delivery costs: rate and latency beside the default's, on a real broker.

Rate: both publish backlogs of the same size to the same topic, in turns. The time is the log of
windows' own: from the entry that stores the first page to the one that closes the window, so that
neither starting nor the first meeting with the broker counts. Latency: one writer commits an event
every few milliseconds, and a read_committed consumer in this process says when it has it, so that
one clock is asked.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from os import cpu_count, getloadavg
from pathlib import Path
from statistics import quantiles
from time import monotonic, monotonic_ns
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, TopicPartition

from relay.bench import events as outbox
from relay.bench.counters import measure
from relay.bench.stage import Stage, Watcher, set_stage
from relay.demo.kept_process import KeptProcess
from relay.errors import RelayError
from relay.postgres.connect import connect

__all__ = ["DELIVERIES", "Cost", "Delivery", "exactly_once"]

DELIVERIES: Final = ("at-least-once", "exactly-once")

_ROUNDS: Final = 3
_RELAY: Final = ["relay.cli.main", "run"]
_EVERY_S: Final = 0.005
_POLL_S: Final = 0.1
_START_TIMEOUT_S: Final = 30.0
_BATCH: Final = 1_000

_TOOK: Final = """
select extract(epoch from max(stored_at) filter (where closed)
                          - min(stored_at) filter (where step = 1))::float8,
       min(last_position) filter (where step = 1)
from outbox.window where number = %s
"""
_ONE: Final = "insert into outbox.event (topic, key, type, payload) values (%s, %s, %s, %s)"


@dataclass(slots=True)
class Delivery:
    """What one of the two did."""

    timed_events: int = 0
    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def events_per_second(self) -> float:
        return self.timed_events / self.seconds

    def latency_ms(self, percentile: int) -> float:
        """From just before the commit to the consumer."""
        return quantiles(self.latencies_ms, n=100)[percentile - 1]


@dataclass(slots=True)
class Cost:
    """The figures of a run."""

    postgres: str
    broker: str
    events: int
    load_average: float
    deliveries: dict[str, Delivery] = field(
        default_factory=lambda: {name: Delivery() for name in DELIVERIES}
    )

    @property
    def ratio(self) -> float:
        """How fast exactly once is, as a part of the default."""
        default, once = (self.deliveries[name] for name in DELIVERIES)
        return once.events_per_second / default.events_per_second

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        found: dict[str, object] = {"events": self.events, "payload_bytes": outbox.PAYLOAD_BYTES}
        for name, one in self.deliveries.items():
            prefix = name.replace("-", "_")
            found[f"{prefix}_events_per_second"] = round(one.events_per_second)
            for percentile in (50, 99):
                found[f"{prefix}_p{percentile}_ms"] = round(one.latency_ms(percentile), 1)
        return found | {
            "ratio_to_at_least_once": round(self.ratio, 3),
            "rounds": _ROUNDS,
            "postgres": self.postgres,
            "broker": self.broker,
            "cpus": cpu_count(),
            "load_average": round(self.load_average, 2),
        }


def exactly_once(events: int, seconds: float, watcher: Watcher) -> Cost:
    """Publish `events` in each way, and then one every few milliseconds for `seconds`.

    Raises:
        ServiceFailed, Unreachable: see `set_stage`.
        RelayError: a relay failed, or a consumer of what is committed sees other than its events.
    """
    load_average = getloadavg()[0]
    with set_stage("kafka") as stage:
        found = Cost(stage.postgres, stage.broker, events, load_average)
        for number in range(_ROUNDS):
            # The one that goes second meets a warmer machine.
            for name in DELIVERIES if number % 2 else reversed(DELIVERIES):
                _publish(stage, name, found.deliveries[name], events // _ROUNDS)
                watcher.at(name, number + 1, _ROUNDS)
        published = _committed(stage)
        if published != (wanted := 2 * _ROUNDS * (events // _ROUNDS)):
            raise RelayError(f"consumers see {published} events, and not {wanted}")
        for name in DELIVERIES:
            found.deliveries[name].latencies_ms = _latencies_ms(stage, name, seconds)
            watcher.at(f"{name}, latency", 1, 1)
    return found


def _environment(stage: Stage, delivery: str) -> Mapping[str, str]:
    return stage.environment() | {"RELAY_DELIVERY": delivery}


def _publish(stage: Stage, name: str, delivery: Delivery, events: int) -> None:
    window = outbox.last_window(stage.connection) + 1
    outbox.load(stage.connection, stage.topic, 1, events, lambda _: None)
    measure([*_RELAY, "--until-drained"], _environment(stage, name), tick=lambda: None)
    row = stage.connection.execute(_TOOK, [window]).fetchone()
    if row is None or row[0] is None:
        raise RelayError(f"{name}: {events} events are no more than a page; give it more")
    delivery.seconds += float(str(row[0]))
    delivery.timed_events += outbox.last_position(stage.connection) - int(str(row[1]))


@contextmanager
def _consumer(stage: Stage, offset: int) -> Iterator[Consumer]:
    """A consumer of what is committed, from `offset` of every partition on."""
    settings = {
        "bootstrap.servers": stage.bootstrap_servers,
        "group.id": stage.topic,
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        "log_level": 0,
    }
    with closing(Consumer(settings)) as consumer:
        partitions = consumer.list_topics(stage.topic, 10.0).topics[stage.topic].partitions
        consumer.assign([TopicPartition(stage.topic, number, offset) for number in partitions])
        yield consumer


def _committed(stage: Stage) -> int:
    """How many records there are, until for a while there are no more."""
    count, silent = 0, 0
    with _consumer(stage, OFFSET_BEGINNING) as consumer:
        while silent < 20:
            batch = consumer.consume(_BATCH, _POLL_S)
            count += sum(message.error() is None for message in batch)
            silent = 0 if batch else silent + 1
    return count


def _latencies_ms(stage: Stage, name: str, seconds: float) -> list[float]:
    with _leading(_environment(stage, name)), _consumer(stage, OFFSET_END) as consumer:
        consumer.poll(1.0)
        writer = threading.Thread(target=_write, args=(stage, wanted := int(seconds / _EVERY_S)))
        writer.start()
        found: list[float] = []
        until = monotonic() + 3 * seconds + 10
        while len(found) < wanted and monotonic() < until:
            batch, now_ns = consumer.consume(1, 0.01), monotonic_ns()
            values = [value for one in batch if (value := one.value()) is not None]
            found += [(now_ns - int(value)) / 1e6 for value in values]
        writer.join()
    if len(found) != wanted:
        raise RelayError(f"{name}: the consumer has {len(found)} of {wanted} events")
    return found


def _write(stage: Stage, events: int) -> None:
    with closing(connect(stage.database_url, "bench")) as connection:
        start = monotonic()
        for number in range(events):
            threading.Event().wait(max(0.0, start + number * _EVERY_S - monotonic()))
            payload = str(monotonic_ns()).encode()
            connection.execute(_ONE, (stage.topic, f"key-{number % 100}", outbox.TYPE, payload))


@contextmanager
def _leading(environment: Mapping[str, str]) -> Iterator[None]:
    """A relay that leads, and is stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="outbox-relay-bench-") as folder:
        process = KeptProcess(
            [sys.executable, "-m", *_RELAY],
            log=Path(folder) / "log",
            scratch=Path(folder),
            environment=environment,
        )
        try:
            process.until_ready(lambda: "leading" in process.log_tail(), _START_TIMEOUT_S)
            yield
        finally:
            process.stop()
