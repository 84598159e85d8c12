"""The rate at which a consumer takes a backlog, beside a loop that remembers nothing.

All contenders read the same records, those that the relay would send, from the same topic, and
write the same row for each. They do it in turns, in rounds that are small enough for the mock
broker to keep (5 MiB of a partition). The baseline is the loop that most people write first: it
consumes a batch, inserts its rows, commits to the database and then to Kafka. After a crash it
repeats what it did; the others do not, and the ratio is what that costs.

The time of a round is between the first and the last call of the handler, and its records are those
of all batches but the last: joining and leaving the group do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from os import cpu_count, getloadavg
from time import monotonic, process_time
from typing import Any, Final
from uuid import UUID, uuid4

import confluent_kafka
import psycopg
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from coordinator.inbox.consumer import Consumer
from coordinator.inbox.ids import Ids
from coordinator.inbox.marks import Marks
from coordinator.inbox.memory import Memory, Record
from relay import config
from relay.bench.events import KEYS, PAYLOAD_BYTES, TYPE
from relay.bench.stage import BrokerKind, Stage, Watcher, set_stage
from relay.core.envelope import envelope
from relay.core.inputs import Row
from relay.errors import RelayError

__all__ = ["BASELINE", "Consumed", "Pace", "consume"]

BASELINE: Final = "no memory"
_MEMORIES: Final[Mapping[str, Callable[[], Memory]]] = {"ids": Ids, "marks": Marks}

_ROUND_EVENTS: Final = 20_000
_BATCH_MAX: Final = 5_000
_POLL_S: Final = 0.1
_SOURCE: Final = "/bench"
_EPOCH: Final = str(UUID(int=0))
_PROPERTIES: Final[dict[str, Any]] = {"session.timeout.ms": 6_000, "log_level": 0}

_TABLE: Final = "create table public.taken (event_id uuid not null, size int not null)"
_INSERT: Final = text(
    "insert into public.taken select * from unnest(cast(:ids as uuid[]), cast(:sizes as int[]))"
)


@dataclass(slots=True)
class Pace:
    """How fast one of the contenders was, over all rounds."""

    events: int = 0
    timed_events: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def events_per_second(self) -> float:
        return self.timed_events / self.seconds

    @property
    def client_cpu_us_per_event(self) -> float:
        """Of this process, the Kafka client's threads included; the database's is not in it."""
        return self.cpu_seconds / self.timed_events * 1e6


@dataclass(slots=True)
class Consumed:
    """The figures of a run, by contender."""

    postgres: str
    broker: str
    rounds: int
    load_average: float
    paces: dict[str, Pace] = field(
        default_factory=lambda: {name: Pace() for name in (BASELINE, *_MEMORIES)}
    )

    def ratio(self, name: str) -> float:
        """How fast `name` is, as a part of the baseline."""
        return self.paces[name].events_per_second / self.paces[BASELINE].events_per_second

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        rates = {
            f"{name.replace(' ', '_')}_events_per_second": round(pace.events_per_second)
            for name, pace in self.paces.items()
        }
        costs = {
            f"{name.replace(' ', '_')}_client_cpu_us_per_event": round(
                pace.client_cpu_us_per_event, 2
            )
            for name, pace in self.paces.items()
        }
        ratios = {f"{name}_ratio_to_no_memory": round(self.ratio(name), 3) for name in _MEMORIES}
        return {
            "events": self.paces[BASELINE].events,
            "payload_bytes": PAYLOAD_BYTES,
            **rates,
            **costs,
            **ratios,
            "batch_events_max": _BATCH_MAX,
            "rounds": self.rounds,
            "postgres": self.postgres,
            "broker": self.broker,
            "cpus": cpu_count(),
            "load_average": round(self.load_average, 2),
        }


def consume(events: int, broker: BrokerKind, watcher: Watcher) -> Consumed:
    """Let each contender take `events`, 20,000 a round.

    Raises:
        ServiceFailed, Unreachable: see `set_stage`.
        RelayError: one of them took other than its events.
    """
    load_average = getloadavg()[0]
    rounds = max(1, events // _ROUND_EVENTS)
    with set_stage(broker) as stage:
        stage.connection.execute(_TABLE)
        url = stage.database_url
        engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url))
        found = Consumed(stage.postgres, stage.broker, rounds, load_average)
        for number in range(rounds):
            count = min(events, _ROUND_EVENTS)
            _produce(stage, number, count)
            for name, pace in found.paces.items():
                _let_take(engine, stage, name, count, pace)
                watcher.at(name, (number + 1) * count, rounds * count)
        engine.dispose()
        _forget_groups(stage, found.paces)
    return found


def _forget_groups(stage: Stage, names: Iterable[str]) -> None:
    # Brokers of our own are gone in a moment, and the mock takes no such request.
    if config.given_services()[1] is not None:
        servers: dict[str, Any] = {
            **config.kafka_properties(),
            "bootstrap.servers": stage.bootstrap_servers,
        }
        groups = [_group(stage, name) for name in names]
        with suppress(KafkaException):
            for done in AdminClient(servers).delete_consumer_groups(groups).values():
                done.result()


def _group(stage: Stage, name: str) -> str:
    return f"{stage.topic}-{name.replace(' ', '-')}"


class _Taking:
    """The handler, which writes a row for each record, notes the time, and stops at the last."""

    def __init__(self, events: int) -> None:
        self._events = events
        self.stop: Callable[[], None] = lambda: None
        self._began: list[float] = []
        self._cpu: list[float] = []
        self._sizes: list[int] = []

    def __call__(self, session: Session, records: Sequence[Record]) -> None:
        self._began.append(monotonic())
        self._cpu.append(process_time())
        self._sizes.append(len(records))
        sizes = [len(record.value or b"") for record in records]
        session.execute(_INSERT, {"ids": [one.event_id for one in records], "sizes": sizes})
        if sum(self._sizes) >= self._events:
            self.stop()

    def count_in(self, name: str, pace: Pace) -> None:
        if sum(self._sizes) != self._events:
            raise RelayError(f"{name}: took {sum(self._sizes)} events, and not {self._events}")
        pace.events += self._events
        pace.timed_events += sum(self._sizes[:-1])
        pace.seconds += self._began[-1] - self._began[0]
        pace.cpu_seconds += self._cpu[-1] - self._cpu[0]


def _let_take(engine: Engine, stage: Stage, name: str, events: int, pace: Pace) -> None:
    taking = _Taking(events)
    group = _group(stage, name)
    properties = {**_PROPERTIES, **config.kafka_properties()}
    if name == BASELINE:
        _take_without_memory(engine, stage, group, properties, taking)
    else:
        consumer = Consumer(
            engine,
            consumer=group,
            topics=[stage.topic],
            batch_handler=taking,
            bootstrap_servers=stage.bootstrap_servers,
            memory=_MEMORIES[name](),
            properties=properties,
            batch_max=_BATCH_MAX,
        )
        taking.stop = consumer.stop
        consumer.run()
    taking.count_in(name, pace)


def _take_without_memory(
    engine: Engine, stage: Stage, group: str, properties: Mapping[str, Any], taking: _Taking
) -> None:
    ours = {"auto.offset.reset": "earliest", "enable.auto.commit": False, "group.id": group}
    servers = {"bootstrap.servers": stage.bootstrap_servers}
    client = confluent_kafka.Consumer({**properties, **ours, **servers})
    client.subscribe([stage.topic])
    going_on = True

    def stop() -> None:
        nonlocal going_on
        going_on = False

    taking.stop = stop
    while going_on:
        if (first := client.poll(_POLL_S)) is None:
            continue
        records = [_record(one) for one in (first, *client.consume(_BATCH_MAX - 1, 0))]
        with Session(engine) as session, session.begin():
            taking(session, records)
        with suppress(KafkaException):
            client.commit(asynchronous=True)
    client.close()


def _record(message: confluent_kafka.Message) -> Record:
    if (error := message.error()) is not None:
        raise RelayError(f"broker: {error.str()}")
    return Record(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        message.key(),
        message.value(),
        message.headers() or (),  # type: ignore[arg-type]  # a list, as it was consumed
        message.timestamp()[1],
    )


def _produce(stage: Stage, number: int, events: int) -> None:
    """What the relay would send for a window of so many events."""
    producer = Producer(
        {**config.kafka_properties(), "bootstrap.servers": stage.bootstrap_servers, "linger.ms": 50}
    )
    headers_of = envelope(_SOURCE, _EPOCH, number + 1)
    payload, time = bytes(PAYLOAD_BYTES), "2026-01-01T00:00:00.000000Z"
    for position in range(number * events, (number + 1) * events):
        key = f"key-{position % KEYS}"
        row: Row = (
            *(position, str(uuid4()), stage.topic, key),
            *(TYPE, "application/json", payload, time, None),
        )
        producer.produce(stage.topic, payload, key, headers=headers_of(row))
    if producer.flush(60):
        raise RelayError("broker: it did not take the events")
