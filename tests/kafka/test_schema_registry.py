"""What a Schema Registry's serializer wrote is what its deserializer reads, behind the relay."""

from __future__ import annotations

import psycopg
from confluent_kafka.serialization import MessageField, SerializationContext

from coordinator import Outbox, OutboxEvent, RegisteredSchema
from tests.coordinator import schemas
from tests.support.consume import read_topic
from tests.support.kafka import Broker
from tests.support.processes import StartRelay


def test_each_format_comes_back_equal_through_relay_and_broker(
    database_url: str, topic: str, broker: Broker, relay_process: StartRelay
) -> None:
    readers, written = {}, {}
    with psycopg.connect(database_url) as connection:
        for name, (make, data) in schemas.FORMATS.items():
            serializer, reader = make(schemas.registry())
            schema = RegisteredSchema(serializer, topic=topic)
            event = OutboxEvent.of(
                topic=topic,
                key=name,
                type="invoice.sent",
                data=data,
                serializer=schema,
                content_type=schema.content_type,
            )
            Outbox().add(connection, event)
            readers[name], written[name] = reader, data
    servers = broker.bootstrap_servers
    assert relay_process(database_url, servers, "--until-drained").wait() == 0

    context = SerializationContext(topic, MessageField.VALUE)
    read, content_types = {}, {}
    for record in read_topic(servers, topic, at_least=len(written)):
        assert record.key is not None
        name = record.key.decode()
        read[name] = readers[name](record.value, context)
        content_types[name] = (record.header("content-type") or b"").decode()
    assert read == written
    assert content_types == {name: f"application/vnd.confluent.{name}" for name in written}
