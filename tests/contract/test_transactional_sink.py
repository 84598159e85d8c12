"""The sink that publishes exactly once: each case on the fake and on a real Kafka. What is seen is
what a read_committed consumer sees."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest

from relay.core.inputs import Acked, Doubtful, Input, Lost, Recovered, Refused, Row
from relay.core.reached import Reached
from relay.daemon.clock import monotonic_s
from relay.errors import Fenced
from relay.kafka.properties import transactional_properties
from relay.kafka.transactional_sink import TransactionalSink
from relay.ports import Sink
from tests.contract.outbox import event_id
from tests.model.fake_broker import FakeBroker
from tests.model.fake_transactions import FakeTransactionalSink
from tests.support.consume import read_topic
from tests.support.kafka import Broker

NUMBER = 7
FIRST = Reached("7@1", 2)
SECOND = Reached("7@1", 9, frozenset({5, 8}))


class World(Protocol):
    """What a case needs: the sinks of one outbox, an event, and what consumers see."""

    def sink(self) -> Sink: ...
    def row(self, n: int, *, refused: bool = False) -> Row: ...
    def seen(self) -> list[str]: ...


class FakeWorld:
    def __init__(self) -> None:
        self._broker = FakeBroker()

    def sink(self) -> Sink:
        return FakeTransactionalSink(self._broker)

    def row(self, n: int, *, refused: bool = False) -> Row:
        if refused:
            self._broker.refused.add(event_id(n))
        return _row(n, "topic")

    def seen(self) -> list[str]:
        return [one.event_id for one in self._broker.records]


class KafkaWorld:
    """A topic that takes little."""

    def __init__(self, broker: Broker) -> None:
        self._servers = broker.bootstrap_servers
        self._topic = f"contract.{uuid.uuid4().hex[:12]}"
        self._outbox = uuid.uuid4().hex
        broker.create_topic(self._topic, partitions=1, config={"max.message.bytes": "10000"})
        self.made: list[TransactionalSink] = []

    def sink(self) -> Sink:
        properties = transactional_properties(self._servers, {})
        made = TransactionalSink(properties, "/contract", monotonic_s, lambda _: None)
        made.enter("one-epoch", self._outbox)
        self.made.append(made)
        return made

    def row(self, n: int, *, refused: bool = False) -> Row:
        return _row(n, self._topic, b"x" * (20_000 if refused else 1))

    def seen(self) -> list[str]:
        records = read_topic(self._servers, self._topic, isolation="read_committed")
        return [(one.header("ce_id") or b"").decode() for one in records]


def _row(n: int, topic: str, payload: bytes = b"x") -> Row:
    return (n, event_id(n), topic, "k", "t", "text/plain", payload, "2026-11-24T20:43:39Z", None)


@pytest.fixture(params=["fake", pytest.param("kafka", marks=pytest.mark.real_broker)])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "fake":
        yield FakeWorld()
        return
    real = KafkaWorld(request.getfixturevalue("broker"))
    yield real
    for sink in real.made:
        sink.discard()


def always() -> bool:
    return True


def recovered(sink: Sink) -> Input:
    return sink.recover(always)


def sent(sink: Sink, rows: list[Row], reached: Reached) -> Input:
    return sink.send(rows, NUMBER, reached, always)


def test_a_new_outbox_has_nothing_committed(world: World) -> None:
    assert recovered(world.sink()) == Recovered(None)


def test_nothing_is_sent_before_the_broker_was_asked(world: World) -> None:
    assert isinstance(sent(world.sink(), [world.row(1)], FIRST), Doubtful)
    assert world.seen() == []


def test_the_next_producer_is_told_the_last_word_whole(world: World) -> None:
    first = world.sink()
    recovered(first)
    assert sent(first, [world.row(1), world.row(2)], FIRST) == Acked()
    assert sent(first, [world.row(9)], SECOND) == Acked()

    assert recovered(world.sink()) == Recovered(SECOND)
    assert world.seen() == [event_id(n) for n in (1, 2, 9)]


def test_asked_again_a_producer_says_what_it_committed_itself(world: World) -> None:
    sink = world.sink()
    recovered(sink)
    sent(sink, [world.row(1)], FIRST)

    assert recovered(sink) == Recovered(FIRST)


def test_once_a_later_producer_has_recovered_the_earlier_is_fenced(world: World) -> None:
    earlier, later = world.sink(), world.sink()
    recovered(earlier)
    sent(earlier, [world.row(1)], FIRST)
    recovered(later)

    with pytest.raises(Fenced):
        sent(earlier, [world.row(9)], SECOND)
    assert world.seen() == [event_id(1)]


def test_a_fenced_producer_that_recovers_fences_in_its_turn(world: World) -> None:
    earlier, later = world.sink(), world.sink()
    recovered(earlier)
    recovered(later)
    with pytest.raises(Fenced):
        sent(earlier, [world.row(1)], FIRST)

    assert recovered(earlier) == Recovered(None)
    assert sent(earlier, [world.row(1)], FIRST) == Acked()
    with pytest.raises(Fenced):
        sent(later, [world.row(9)], SECOND)


def test_a_refusal_of_one_hides_all_that_was_sent_with_it(world: World) -> None:
    sink = world.sink()
    recovered(sink)

    refused = sent(sink, [world.row(1), world.row(2, refused=True), world.row(3)], FIRST)

    assert isinstance(refused, Refused)
    assert world.seen() == []
    assert recovered(sink) == Recovered(None)


def test_after_a_refusal_the_rest_goes_out_in_order(world: World) -> None:
    sink = world.sink()
    recovered(sink)
    sent(sink, [world.row(1), world.row(2, refused=True), world.row(3)], FIRST)

    assert sent(sink, [world.row(1), world.row(3)], SECOND) == Acked()
    assert world.seen() == [event_id(1), event_id(3)]


@pytest.mark.parametrize("ask", [Sink.recover, Sink.send], ids=["recover", "send"])
def test_once_it_may_not_go_on_nothing_is_begun(world: World, ask: Callable[..., Input]) -> None:
    sink = world.sink()
    recovered(sink)
    sink = world.sink() if ask is Sink.recover else sink

    if ask is Sink.recover:
        assert sink.recover(lambda: False) == Lost()
    else:
        assert sink.send([world.row(1)], NUMBER, FIRST, lambda: False) == Lost()
    assert world.seen() == []
