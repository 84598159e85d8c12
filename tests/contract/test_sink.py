"""Sink: each case on the fake, on the fake behind the simulated network, and on the Kafka client
with librdkafka's mock broker."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest

from relay.core.inputs import Acked, Doubtful, Lost, Recovered, Refused
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

REACHED = Reached("7@1", 8)

IN_PROCESS = {"fake": FakeWorld, "simulated": SimulatedWorld}


@pytest.fixture(params=[*IN_PROCESS, "kafka"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param in IN_PROCESS:
        yield IN_PROCESS[request.param]()
        return
    broker: Broker = request.getfixturevalue("mock_broker")
    topic = f"contract.{uuid.uuid4().hex[:12]}"
    broker.create_topic(topic)
    real = KafkaWorld(broker.bootstrap_servers, topic)
    yield real
    real.close()


@pytest.fixture(params=[*IN_PROCESS, "kafka"])
def silent(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world whose broker stops answering in the case; nobody else uses it."""
    if request.param in IN_PROCESS:
        yield IN_PROCESS[request.param]()
        return
    with closing(MockBroker().start()) as broker:
        broker.create_topic("silent")
        suspend = partial(stop_for_sure, broker)
        real = KafkaWorld(broker.bootstrap_servers, "silent", suspend, broker.resume)
        yield real
        real.close()


def always() -> bool:
    return True


def test_what_was_acknowledged_is_in_the_log_in_the_order_and_places_given(world: World) -> None:
    rows = [world.row(n) for n in (3, 5, 8)]

    assert world.sink.send(rows, NUMBER, REACHED, always) == Acked()
    assert [one[:2] for one in world.published()] == [(event_id(n), place(n)) for n in (3, 5, 8)]


def test_one_page_follows_the_other(world: World) -> None:
    world.sink.send([world.row(1), world.row(2)], NUMBER, REACHED, always)
    world.sink.send([world.row(3)], NUMBER, REACHED, always)

    assert [one.event_id for one in world.published()] == [event_id(n) for n in (1, 2, 3)]


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
    assert [one[:2] for one in world.published()] == [(event_id(2), place(2))]


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
