"""Sink: each case on the fake and on the Kafka client with librdkafka's mock broker."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Protocol

import pytest

from relay.core.inputs import Acked, Doubtful, Lost, Recovered, Refused, Row
from relay.core.reached import Reached
from relay.daemon.clock import monotonic_s
from relay.demo.mock_broker import MockBroker
from relay.kafka.properties import producer_properties
from relay.kafka.sink import KafkaSink
from relay.ports import Sink
from tests.contract.outbox import event_id
from tests.model.fake_broker import Doubt, FakeBroker, FakeSink
from tests.support.consume import read_topic
from tests.support.kafka import Broker

NUMBER = 7
REACHED = Reached("7@1", 8)


class World(Protocol):
    """What a case needs of a broker."""

    sink: Sink

    def row(self, n: int, *, refused: bool = False) -> Row: ...
    def stop_answering(self) -> None: ...
    def published(self) -> list[tuple[str, str]]:
        """Id and place of each record, in the order of its partition."""


class FakeWorld:
    def __init__(self) -> None:
        self._broker = FakeBroker()
        self.sink: Sink = FakeSink(self._broker)

    def row(self, n: int, *, refused: bool = False) -> Row:
        if refused:
            self._broker.refused.add(event_id(n))
        return _row(n, "topic")

    def stop_answering(self) -> None:
        self._broker.doubt = Doubt([0, 0], [0, 0])

    def published(self) -> list[tuple[str, str]]:
        return [(one.event_id, one.headers["ce_sequence"]) for one in self._broker.records]


class KafkaWorld:
    """A topic that exists, and one that does not."""

    def __init__(self, bootstrap: str, topic: str, broker: MockBroker | None = None) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._broker = broker
        # So long an unknown topic may be one whose news has not spread yet.
        soon = {"topic.metadata.propagation.max.ms": "500"}
        properties = producer_properties(bootstrap, soon)
        sink = KafkaSink(properties, "/contract", monotonic_s, lambda _: None)
        sink.enter("one-epoch", "one-outbox")
        self.sink: Sink = sink

    def row(self, n: int, *, refused: bool = False) -> Row:
        return _row(n, "contract.no.such.topic" if refused else self._topic)

    def stop_answering(self) -> None:
        assert self._broker is not None
        self._broker.suspend()

    def published(self) -> list[tuple[str, str]]:
        records = read_topic(self._bootstrap, self._topic)
        return [
            ((one.header("ce_id") or b"").decode(), (one.header("ce_sequence") or b"").decode())
            for one in records
        ]


def _row(n: int, topic: str) -> Row:
    return (n, event_id(n), topic, "k", "t", "text/plain", b"x", "2026-11-24T20:43:39Z", None)


def place(n: int) -> str:
    return f"{NUMBER:019d}.{n:019d}"


@pytest.fixture(params=["fake", "kafka"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "fake":
        yield FakeWorld()
        return
    broker: Broker = request.getfixturevalue("mock_broker")
    topic = f"contract.{uuid.uuid4().hex[:12]}"
    broker.create_topic(topic)
    real = KafkaWorld(broker.bootstrap_servers, topic)
    yield real
    real.sink.discard()


@pytest.fixture(params=["fake", "kafka"])
def silent(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world whose broker stops answering in the case; nobody else uses it."""
    if request.param == "fake":
        yield FakeWorld()
        return
    with closing(MockBroker().start()) as broker:
        broker.create_topic("silent")
        real = KafkaWorld(broker.bootstrap_servers, "silent", broker)
        yield real
        real.sink.discard()


def always() -> bool:
    return True


def test_what_was_acknowledged_is_in_the_log_in_the_order_and_places_given(world: World) -> None:
    rows = [world.row(n) for n in (3, 5, 8)]

    assert world.sink.send(rows, NUMBER, REACHED, always) == Acked()
    assert world.published() == [(event_id(n), place(n)) for n in (3, 5, 8)]


def test_one_page_follows_the_other(world: World) -> None:
    world.sink.send([world.row(1), world.row(2)], NUMBER, REACHED, always)
    world.sink.send([world.row(3)], NUMBER, REACHED, always)

    assert [found for found, _ in world.published()] == [event_id(n) for n in (1, 2, 3)]


def test_an_event_that_can_never_be_taken_is_refused_with_a_reason(world: World) -> None:
    outcome = world.sink.send([world.row(1, refused=True)], NUMBER, REACHED, always)

    assert isinstance(outcome, Refused)
    assert outcome.reason


def test_a_refusal_of_one_among_others_is_a_refusal_and_not_an_acknowledgement(
    world: World,
) -> None:
    rows = [world.row(1), world.row(2, refused=True)]

    assert isinstance(world.sink.send(rows, NUMBER, REACHED, always), Refused)


def test_after_a_refusal_what_can_be_taken_is_acknowledged(world: World) -> None:
    world.sink.send([world.row(1, refused=True)], NUMBER, REACHED, always)

    assert world.sink.send([world.row(2)], NUMBER, REACHED, always) == Acked()
    assert world.published() == [(event_id(2), place(2))]


def test_once_it_may_not_go_on_the_rest_is_given_up(silent: World) -> None:
    silent.sink.send([silent.row(1)], NUMBER, REACHED, always)
    silent.stop_answering()

    assert (
        silent.sink.send([silent.row(2), silent.row(3)], NUMBER, REACHED, lambda: False) == Lost()
    )


def test_it_asks_whether_to_go_on_for_as_long_as_the_broker_says_nothing(silent: World) -> None:
    answers = iter([True, True, True, False])
    silent.sink.send([silent.row(1)], NUMBER, REACHED, always)
    silent.stop_answering()
    outcome = silent.sink.send([silent.row(2)], NUMBER, REACHED, lambda: next(answers))

    assert isinstance(outcome, Lost | Doubtful)
    assert not isinstance(outcome, Acked)


def test_discarding_with_nothing_under_way_leaves_the_sink_usable(world: World) -> None:
    world.sink.send([world.row(1)], NUMBER, REACHED, always)
    world.sink.discard()

    assert world.sink.send([world.row(2)], NUMBER, REACHED, always) == Acked()


def test_one_that_publishes_at_least_once_has_nothing_to_recover(world: World) -> None:
    world.sink.send([world.row(1)], NUMBER, REACHED, always)

    assert world.sink.recover(always) == Recovered()
