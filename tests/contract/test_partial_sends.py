"""What a partition has of a send that came to no good end: on the fakes and on Kafka.

All that the relay promises of order stands on it. Of one attempt each partition gets a prefix, and
that of the next attempt begins at or before the first event that is missing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest

from relay.core.inputs import Acked, Refused, Row
from relay.core.murmur2 import java_partition
from relay.core.reached import Reached
from relay.demo.mock_broker import MockBroker
from tests.contract.brokers import (
    NUMBER,
    FakeWorld,
    KafkaWorld,
    SimulatedWorld,
    World,
    place,
    stop_for_sure,
)
from tests.contract.outbox import event_id
from tests.support.kafka import Broker

IN_PROCESS = {"fake": FakeWorld, "simulated": SimulatedWorld}
LIMIT_BYTES = 20_000

REACHED = Reached("7@1", 8)


@pytest.fixture(params=[*IN_PROCESS, "kafka"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world whose broker may stop answering."""
    if request.param in IN_PROCESS:
        yield IN_PROCESS[request.param]()
        return
    with closing(MockBroker().start()) as broker:
        broker.create_topic("partial")
        real = KafkaWorld(
            broker.bootstrap_servers, "partial", partial(stop_for_sure, broker), broker.resume
        )
        yield real
        real.close()


class NarrowWorld(KafkaWorld):
    """What is refused is larger than its topic takes."""

    def row(self, n: int, *, key: str | None = "k", refused: bool = False) -> Row:
        row = super().row(n, key=key)
        return (*row[:6], b"x" * 2 * LIMIT_BYTES, *row[7:]) if refused else row


@pytest.fixture(
    params=[*IN_PROCESS, pytest.param("kafka", marks=pytest.mark.real_broker)],
)
def narrow(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world whose broker refuses one event among others of its topic."""
    if request.param in IN_PROCESS:
        yield IN_PROCESS[request.param]()
        return
    broker: Broker = request.getfixturevalue("broker")
    topic = f"contract.narrow.{uuid.uuid4().hex[:12]}"
    broker.create_topic(topic, config={"max.message.bytes": str(LIMIT_BYTES)})
    real = NarrowWorld(broker.bootstrap_servers, topic)
    yield real
    real.close()


def always() -> bool:
    return True


def a_few_times(asked: int = 4) -> Iterator[bool]:
    yield from [True] * asked
    while True:
        yield False


def ids(*numbers: int) -> list[str]:
    return [event_id(n) for n in numbers]


def give_up(world: World, *numbers: int) -> None:
    """Send one event, and begin to send others to a broker that says nothing any more."""
    first, *rest = [world.row(n) for n in numbers]
    assert world.sink.send([first], NUMBER, REACHED, always) == Acked()
    world.stop_answering()
    answers = a_few_times()
    assert world.sink.send(rest, NUMBER, REACHED, lambda: next(answers)) != Acked()


def test_each_key_goes_to_the_partition_of_the_java_client(world: World) -> None:
    keys = [f"key {n}" for n in range(12)]
    world.sink.send([world.row(n, key=key) for n, key in enumerate(keys)], NUMBER, REACHED, always)
    found = {one.event_id: one.partition for one in world.published()}

    assert found == {
        event_id(n): java_partition(key.encode(), world.partitions) for n, key in enumerate(keys)
    }


def test_what_arrives_of_a_send_that_was_given_up_is_a_prefix_of_it(world: World) -> None:
    give_up(world, 1, 2, 3, 4, 5)
    world.answer_again()
    found = [one.event_id for one in world.published()]

    assert found == ids(1, 2, 3, 4, 5)[: len(found)]


def test_the_next_attempt_leaves_no_gap_and_reorders_nothing(world: World) -> None:
    """Whatever arrives of the first one, and whenever: each event's first appearance is in order,
    and each repeat has the place that it had."""
    give_up(world, 1, 2, 3, 4, 5)
    rows = [world.row(n) for n in (2, 3, 4, 5)]
    world.answer_again()
    assert world.another_sink().send(rows, NUMBER, REACHED, always) == Acked()
    world.answer_again()
    found = world.published()

    assert list(dict.fromkeys(one.event_id for one in found)) == ids(1, 2, 3, 4, 5)
    assert {one[:2] for one in found} == {(event_id(n), place(n)) for n in (1, 2, 3, 4, 5)}


def test_nothing_of_its_key_overtakes_what_is_refused(narrow: World) -> None:
    rows = [narrow.row(1), narrow.row(2, refused=True), narrow.row(3), narrow.row(4)]
    outcome = narrow.sink.send(rows, NUMBER, REACHED, always)

    assert isinstance(outcome, Refused)
    assert [one.event_id for one in narrow.published()] in (ids(), ids(1))


def test_the_first_of_its_partition_that_is_refused_is_not_overtaken_either(narrow: World) -> None:
    """A partition that does not know the producer yet would take any batch for the first one."""
    rows = [narrow.row(1, refused=True), narrow.row(2), narrow.row(3)]
    outcome = narrow.sink.send(rows, NUMBER, REACHED, always)

    assert isinstance(outcome, Refused)
    assert narrow.published() == []
