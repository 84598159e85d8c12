"""A producer that was thrown away ends in a thread of its own: its end can hang."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest
from confluent_kafka import KafkaError, Producer

from relay.core.inputs import Acked, Lost, Refused
from relay.core.reached import Reached
from relay.daemon.clock import monotonic_s
from relay.demo.mock_broker import MockBroker
from relay.kafka import sink as of_sink
from relay.kafka.properties import producer_properties
from relay.kafka.sink import KafkaSink
from tests.contract.brokers import KafkaWorld, stop_for_sure
from tests.support.wait import until

REACHED = Reached("7@1", 8)


def test_a_producer_whose_end_hangs_does_not_hold_up_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_end, ends_in = threading.Event(), list[threading.Thread]()

    class HangsAtItsEnd(Producer):
        def __del__(self) -> None:
            ends_in.append(threading.current_thread())
            may_end.wait(20.0)

    monkeypatch.setattr(of_sink, "Producer", HangsAtItsEnd)
    with closing(MockBroker().start()) as broker:
        broker.create_topic("retired")
        row = KafkaWorld(broker.bootstrap_servers, "retired").row
        properties = producer_properties(broker.bootstrap_servers, {})
        sink = KafkaSink(properties, "/test", monotonic_s, lambda _: None)
        assert sink.send([row(1)], 7, REACHED, lambda: True) == Acked()
        stop_for_sure(broker)
        answers = iter([True, False])
        assert sink.send([row(2)], 7, REACHED, lambda: next(answers)) == Lost()
        broker.resume()
        assert sink.send([row(2)], 7, REACHED, lambda: True) == Acked()
        until(lambda: ends_in, what="the first producer is being ended")
        may_end.set()

    assert threading.current_thread() not in ends_in


def test_that_all_connections_are_down_is_no_trouble_while_nothing_is_asked_of_the_broker() -> None:
    """It closes those that are idle (connections.max.idle.ms), and the client says it then too."""
    said: list[str] = []
    down = KafkaError(KafkaError._ALL_BROKERS_DOWN)
    with closing(MockBroker().start()) as broker:
        broker.create_topic("idle")
        properties = producer_properties(broker.bootstrap_servers, {})
        sink = KafkaSink(properties, "/test", monotonic_s, said.append)
        row = KafkaWorld(broker.bootstrap_servers, "idle").row
        assert sink.send([row(1)], 7, REACHED, lambda: True) == Acked()
        sink._note_error(sink._failures, down)
        assert (said, sink.client.broker_up) == ([], True)

        missing = KafkaWorld(broker.bootstrap_servers, "a name that no topic has").row
        assert isinstance(sink.send([missing(2)], 7, REACHED, lambda: True), Refused)
        sink._note_error(sink._failures, down)
        assert said == []

        stop_for_sure(broker)
        answers = iter([True, False])
        assert sink.send([row(2)], 7, REACHED, lambda: next(answers)) == Lost()
        said.clear()
        sink._note_error(sink._failures, down)
        assert (len(said), sink.client.broker_up) == (1, False)
        broker.resume()
