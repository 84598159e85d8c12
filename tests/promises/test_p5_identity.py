"""P5: an event keeps its key, its bytes and its partition, and a consumer finds a CloudEvent."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from confluent_kafka import Producer

from relay.core.inputs import Acked
from relay.core.murmur2 import java_partition
from relay.core.reached import Reached
from relay.daemon.clock import monotonic_s
from relay.kafka.properties import producer_properties
from relay.kafka.sink import KafkaSink
from tests.relay.events import Connection, connected, emit, idempotency_key
from tests.support.consume import Record, read_topic
from tests.support.kafka import PARTITIONS, Broker
from tests.support.processes import StartRelay

KEYS = ("", "a", "21", "foobar", "a-little-bit-long-string", "é", "鍵", "\U0001f511", " ", "%s\\'")
PAYLOADS = (
    b"",
    b"\x00",
    bytes(range(256)),
    b"\xff\xfe not UTF-8 \xc0\x80",
    b'{"n": 1e400, "n": 2}',
    b"[" * 10_000,
    "\ud83d\ude00 \\u0000".encode("utf-16-le", "surrogatepass"),
    None,
)
# Legal by the rule of the outbox, and the kind of thing that breaks quoting.
HEADERS = {
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "x.y_z-0": "\"quoted\" 'single' \\back {brace} %s $1",
    "Upper": "é 鍵 \U0001f511 \u2028",
    "empty": "",
    "h" * 255: "v",
}


@dataclass(frozen=True)
class Published:
    """Publishes what was written, and reads it back."""

    url: str
    topic: str
    broker: Broker
    start: StartRelay

    def records(self, count: int, **env: str) -> list[Record]:
        servers = self.broker.bootstrap_servers
        assert self.start(self.url, servers, "--until-drained", **env).wait() == 0
        return read_topic(servers, self.topic, at_least=count)


@pytest.fixture
def published(
    database_url: str, topic: str, broker: Broker, relay_process: StartRelay
) -> Published:
    return Published(database_url, topic, broker, relay_process)


def written(connection: Connection, topic: str, **columns: object) -> str:
    """Write one event with these columns; its id."""
    values = {"topic": topic, "type": "thing.happened", **columns}
    names = ", ".join(values)
    marks = ", ".join(f"%({name})s" for name in values)
    row = connection.execute(
        f"insert into outbox.event ({names}) values ({marks}) returning id::text".encode(), values
    ).fetchone()
    assert row is not None
    return str(row[0])


def by_id(records: list[Record]) -> dict[str, Record]:
    found = {idempotency_key(record): record for record in records}
    assert len(found) == len(records), "an event was published twice without a fault"
    return found


def test_keys_go_to_the_partition_of_the_java_client(published: Published) -> None:
    """An empty key is a key like any other; only null is spread."""
    keys = (*KEYS, *(uuid.UUID(int=n * 0x9E3779B97F4A7C15).hex for n in range(200)))
    with connected(published.url) as writer:
        sent = {written(writer, published.topic, key=key): key for key in keys}
    records = by_id(published.records(len(keys)))
    wrong = {
        sent[event_id]: (record.partition, java_partition(sent[event_id].encode(), PARTITIONS))
        for event_id, record in records.items()
        if record.partition != java_partition(sent[event_id].encode(), PARTITIONS)
    }
    assert wrong == {}
    assert {event_id: record.key for event_id, record in records.items()} == {
        event_id: key.encode() for event_id, key in sent.items()
    }


def test_our_murmur2_and_librdkafkas_agree_on_any_key(broker: Broker, topic: str) -> None:
    """The oracle of the test above, checked against a client that is not the relay."""
    keys = [bytes([n]) * n for n in range(1, 100)] + [key.encode() for key in KEYS]
    producer = Producer(
        {"bootstrap.servers": broker.bootstrap_servers, "partitioner": "murmur2_random"}
    )
    for key in keys:
        producer.produce(topic, b"", key)
    assert producer.flush(10) == 0
    for record in read_topic(broker.bootstrap_servers, topic, at_least=len(keys)):
        assert record.key is not None
        assert record.partition == java_partition(record.key, PARTITIONS)


def test_a_null_key_stays_null_and_is_spread_over_partitions(published: Published) -> None:
    with connected(published.url) as writer:
        for _ in range(40):
            written(writer, published.topic, key=None)
    records = published.records(40)
    assert {record.key for record in records} == {None}
    assert len({record.partition for record in records}) > 1


def test_an_event_without_a_key_goes_to_the_same_partition_at_every_attempt(
    broker: Broker, topic: str
) -> None:
    rows = [
        (n, str(uuid.UUID(int=n)), topic, None, "t", "c", b"", "2026-01-01T00:00:00.000000Z", None)
        for n in range(1, 51)
    ]
    for _ in range(2):
        properties = producer_properties(broker.bootstrap_servers, {})
        sink = KafkaSink(properties, "/test", monotonic_s, on_trouble=lambda _: None)
        sink.enter(str(uuid.UUID(int=0)), "one-outbox")
        assert sink.send(rows, 1, Reached("1@1", 50), keep_going=lambda: True) == Acked()
    places: dict[str, set[int]] = {}
    for record in read_topic(broker.bootstrap_servers, topic, at_least=100):
        places.setdefault(idempotency_key(record), set()).add(record.partition)
    assert len(places) == 50
    assert {len(partitions) for partitions in places.values()} == {1}


def test_payloads_are_published_byte_for_byte_and_a_tombstone_is_null(
    published: Published,
) -> None:
    with connected(published.url) as writer:
        sent = {
            written(writer, published.topic, key="k", payload=payload): payload
            for payload in PAYLOADS
        }
    records = by_id(published.records(len(PAYLOADS)))
    assert {event_id: record.value for event_id, record in records.items()} == sent


def test_headers_are_published_as_they_were_written(published: Published) -> None:
    with connected(published.url) as writer:
        written(writer, published.topic, key="k", headers=json.dumps(HEADERS))
    (record,) = published.records(1)
    assert {name: value for name, value in record.headers if name in HEADERS} == {
        name: value.encode() for name, value in HEADERS.items()
    }
    names = [name for name, _ in record.headers]
    assert len(names) == len(set(names)), "a header appears twice"


def test_a_consumer_finds_a_valid_cloud_event(published: Published) -> None:
    with connected(published.url) as writer:
        event_id = written(
            writer,
            published.topic,
            key="order-7",
            type="order.paid",
            content_type="application/json",
            payload=b'{"total": 7}',
            headers=json.dumps({"traceparent": HEADERS["traceparent"]}),
        )
        row = writer.execute("select created_at from outbox.event").fetchone()
    (record,) = published.records(1, RELAY_SOURCE="/orders")
    headers = {name: value for name, value in record.headers if value is not None}
    event = from_binary_event(KafkaMessage(headers, record.key, record.value or b""))
    assert event.get_specversion() == "1.0"
    assert event.get_id() == event_id
    assert event.get_source() == "/orders"
    assert event.get_type() == "order.paid"
    assert event.get_datacontenttype() == "application/json"
    assert event.get_data() == {"total": 7}
    time = event.get_time()
    assert isinstance(time, datetime)
    assert row is not None
    assert time == row[0]
    assert headers["traceparent"].decode() == HEADERS["traceparent"]


def test_places_compare_as_text_in_the_order_of_the_log(published: Published) -> None:
    emit(published.url, published.topic, count=30)
    first = published.records(30)
    emit(published.url, published.topic, count=30)
    records = published.records(60)
    assert records[:30] == first
    places = [record.header("ce_sequence") for record in records]
    assert places == sorted(places, key=lambda place: place or b"")
    assert len(set(places)) == 60
    assert len({record.header("ce_outboxepoch") for record in records}) == 1
