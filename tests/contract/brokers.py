"""The brokers that sinks are tried on: the model's fake, the same behind the simulated network, and
Kafka."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from random import Random
from typing import NamedTuple, Protocol, cast

from relay.core.envelope import PLACE_DIGITS
from relay.core.inputs import Input, Row, Rows
from relay.core.reached import Reached
from relay.daemon.clock import monotonic_s
from relay.demo.mock_broker import MockBroker
from relay.kafka.properties import producer_properties
from relay.kafka.sink import KafkaSink
from relay.ports import Sink
from tests.contract.outbox import event_id
from tests.model.fake_broker import PARTITIONS, Doubt, FakeBroker, FakeSink
from tests.simulation.broker_client import BrokerState, SinkInTime
from tests.simulation.network import Weather
from tests.simulation.scheduler import Machine, Reply, Scheduler
from tests.support.consume import read_topic
from tests.support.wait import until

__all__ = [
    "NUMBER",
    "FakeWorld",
    "KafkaWorld",
    "Published",
    "SimulatedWorld",
    "World",
    "place",
    "stop_for_sure",
]

NUMBER = 7


class Published(NamedTuple):
    """A record of the log."""

    event_id: str
    place: str
    partition: int


class World(Protocol):
    """What a case needs of a broker.

    Attributes:
        partitions: how many its topic has.
    """

    sink: Sink
    partitions: int

    def another_sink(self) -> Sink:
        """A producer of its own, as another relay has one, or this one after a failure."""

    def row(self, n: int, *, key: str | None = "k", refused: bool = False) -> Row: ...
    def stop_answering(self) -> None: ...
    def answer_again(self) -> None: ...
    def published(self) -> list[Published]:
        """In the order of its partition."""


class FakeWorld:
    partitions = PARTITIONS

    def __init__(self) -> None:
        self._broker = FakeBroker()
        self.sink = self.another_sink()

    def another_sink(self) -> Sink:
        return FakeSink(self._broker)

    def row(self, n: int, *, key: str | None = "k", refused: bool = False) -> Row:
        if refused:
            self._broker.refused.add(event_id(n))
        return _row(n, "topic", key)

    def stop_answering(self) -> None:
        """In the middle of the next send: a part of it is there, and a part is under way."""
        self._broker.doubt = Doubt([1] * PARTITIONS, [2] * PARTITIONS)

    def answer_again(self) -> None:
        self._broker.deliver_late(queue=0, records_max=1)

    def published(self) -> list[Published]:
        records = sorted(self._broker.records, key=lambda record: record.partition)
        return [
            Published(one.event_id, one.headers["ce_sequence"], one.partition) for one in records
        ]


class SimulatedWorld(FakeWorld):
    """Time passes while somebody waits for an outcome."""

    def __init__(self) -> None:
        self._scheduler = Scheduler()
        self._state = BrokerState()
        self._state.slow_share = 1.0
        super().__init__()

    def another_sink(self) -> Sink:
        machine = Machine(self._scheduler)
        sink = SinkInTime(
            FakeSink(self._broker),
            self._broker,
            self._state,
            machine,
            Weather(),
            Random(NUMBER),
            on_send=lambda: None,
            on_arrival=lambda records, awaited: None,
        )
        return Awaited(self._scheduler, machine, sink)

    def stop_answering(self) -> None:
        self._state.up = False

    def answer_again(self) -> None:
        self._state.up = True
        self._scheduler.run(self._scheduler.now_s + 1.0)


class Awaited:
    """A sink in time as those see it who wait for it in the ordinary one."""

    def __init__(self, scheduler: Scheduler, machine: Machine, sink: Sink) -> None:
        self._scheduler = scheduler
        self._machine = machine
        self._sink = sink

    def recover(self, keep_going: Callable[[], bool]) -> Input:
        return self._awaited(lambda: self._sink.recover(keep_going))

    def send(
        self, rows: Rows, number: int, reached: Reached, keep_going: Callable[[], bool]
    ) -> Input:
        return self._awaited(lambda: self._sink.send(rows, number, reached, keep_going))

    def _awaited(self, ask: Callable[[], Input]) -> Input:
        outcome = Reply()
        self._machine.spawn(lambda: outcome.come(ask()))
        while not outcome.came:
            self._scheduler.run(self._scheduler.now_s + 0.1)
        return cast(Input, outcome.result())

    def serve(self) -> None:
        self._sink.serve()

    def discard(self) -> None:
        self._sink.discard()


class KafkaWorld:
    """A topic that exists, and one that does not."""

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        suspend: Callable[[], None] = lambda: None,
        resume: Callable[[], None] = lambda: None,
        partitions: int = 4,
    ) -> None:
        self.partitions = partitions
        self._bootstrap = bootstrap
        self._topic = topic
        self.stop_answering = suspend
        self.answer_again = resume
        self._sinks: list[Sink] = []
        self.sink = self.another_sink()

    def another_sink(self) -> Sink:
        # So long an unknown topic may be one whose news has not spread yet.
        soon = {"topic.metadata.propagation.max.ms": "500"}
        properties = producer_properties(self._bootstrap, soon)
        sink = KafkaSink(properties, "/contract", monotonic_s, lambda _: None)
        sink.enter("one-epoch", "one-outbox")
        self._sinks.append(sink)
        return sink

    def row(self, n: int, *, key: str | None = "k", refused: bool = False) -> Row:
        return _row(n, "contract.no.such.topic" if refused else self._topic, key)

    def published(self) -> list[Published]:
        records = read_topic(self._bootstrap, self._topic)
        return [
            Published(
                (one.header("ce_id") or b"").decode(),
                (one.header("ce_sequence") or b"").decode(),
                one.partition,
            )
            for one in sorted(records, key=lambda record: (record.partition, record.offset))
        ]

    def close(self) -> None:
        for sink in self._sinks:
            sink.discard()


def _row(n: int, topic: str, key: str | None) -> Row:
    return (n, event_id(n), topic, key, "t", "text/plain", b"x", "2026-11-24T20:43:39Z", None)


def place(n: int) -> str:
    """Where an event stands that was sent with NUMBER."""
    return f"{NUMBER:0{PLACE_DIGITS}d}.{n:0{PLACE_DIGITS}d}"


def stop_for_sure(broker: MockBroker) -> None:
    """On a busy machine a process runs on for a moment after SIGSTOP."""
    broker.suspend()
    ask = ["ps", "-o", "state=", "-p", str(broker.pid)]
    until(
        lambda: subprocess.run(ask, capture_output=True, check=True).stdout.strip() == b"T",
        what="the broker is stopped",
    )
