"""A partition's knowledge of the producer, and the number of partitions, are believed for a minute:
after it, an event still cannot be overtaken, and new partitions are used."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, and not in its __all__
    AdminClient,
    NewPartitions,
)

from relay.core.inputs import Acked, Refused, Row
from relay.core.reached import Reached
from relay.kafka.partitions import KNOWN_FOR_S
from relay.kafka.properties import producer_properties
from relay.kafka.sink import KafkaSink
from tests.support.consume import read_topic
from tests.support.kafka import Broker
from tests.support.wait import until

LIMIT_BYTES = 100_000
# So that the large event and those behind it travel in batches of their own.
SMALL_BATCHES = {"batch.size": "50000"}

pytestmark = pytest.mark.real_broker


def row(position: int, topic: str, *, key: str | None = "k", size: int = 10) -> Row:
    event_id = f"00000000-0000-0000-0000-{position:012d}"
    return (position, event_id, topic, key, "t", "c", b"x" * size, "2026-01-01T00:00:00Z", None)


@pytest.fixture
def now() -> list[float]:
    """The sink's clock: its first element."""
    return [0.0]


@pytest.fixture
def sink(broker: Broker, now: list[float]) -> Iterator[KafkaSink]:
    properties = producer_properties(broker.bootstrap_servers, SMALL_BATCHES)
    made = KafkaSink(properties, "/test", lambda: now[0], on_trouble=lambda _: None)
    yield made
    made.discard()


def admin_of(broker: Broker) -> AdminClient:
    return AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})


REACHED = Reached("1@1", 999)


def go_on() -> bool:
    return True


def test_in_a_topic_that_was_made_anew_nothing_overtakes_a_refused_event(
    broker: Broker, topic: str, sink: KafkaSink, now: list[float]
) -> None:
    assert sink.send([row(1, topic)], 1, REACHED, go_on) == Acked()
    admin = admin_of(broker)
    admin.delete_topics([topic])[topic].result(10)
    until(lambda: topic not in admin.list_topics(timeout=5).topics, what="the topic is gone")
    broker.create_topic(topic, config={"max.message.bytes": str(LIMIT_BYTES)})
    now[0] += KNOWN_FOR_S + 1

    rows = [row(2, topic, size=LIMIT_BYTES + 50_000), row(3, topic), row(4, topic)]
    assert isinstance(sink.send(rows, 2, REACHED, go_on), Refused)
    assert isinstance(sink.send(rows[:1], 2, REACHED, go_on), Refused)
    assert read_topic(broker.bootstrap_servers, topic, at_least=0) == []


def test_partitions_that_were_added_are_used_within_a_minute(
    broker: Broker, topic: str, sink: KafkaSink, now: list[float]
) -> None:
    assert sink.send([row(1, topic)], 1, REACHED, go_on) == Acked()
    admin = admin_of(broker)
    admin.create_partitions([NewPartitions(topic, 8)])[topic].result(10)
    now[0] += KNOWN_FOR_S + 1

    rows = [row(n, topic, key=f"key-{n}") for n in range(2, 200)]
    rows += [row(n, topic, key=None) for n in range(200, 400)]
    assert sink.send(rows, 2, REACHED, go_on) == Acked()
    records = read_topic(broker.bootstrap_servers, topic, at_least=len(rows) + 1)
    for keyless in (True, False):
        used = {record.partition for record in records if (record.key is None) == keyless}
        assert used == set(range(8))
