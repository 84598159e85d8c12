"""`RELAY_ENVELOPE=debezium`: what a consumer of Debezium's event router finds in Kafka."""

from __future__ import annotations

from uuid import uuid4

from tests.cli.command import relay
from tests.relay.events import connected
from tests.support.consume import Record, read_topic
from tests.support.kafka import Broker


def published(database_url: str, broker: Broker, topic: str, key: str | None) -> tuple[str, Record]:
    """The id of an event that is written here, and its record."""
    with connected(database_url) as connection:
        row = connection.execute(
            "select outbox.emit(%s, %s, 'OrderCreated', %s)::text", (topic, key, b'{"n": 1}')
        ).fetchone()
    assert row is not None
    outcome = relay(
        *("run", "--until-drained"),
        database_url=database_url,
        bootstrap_servers=broker.bootstrap_servers,
        unset="RELAY_SOURCE",
        RELAY_ENVELOPE="debezium",
    )
    assert outcome.exit_code == 0, outcome.said
    (record,) = read_topic(broker.bootstrap_servers, topic, at_least=1)
    return row[0], record


def test_it_finds_the_routers_headers_key_and_bytes(database_url: str, mock_broker: Broker) -> None:
    topic = f"outbox.event.{uuid4().hex[:12]}"
    mock_broker.create_topic(topic)
    event_id, record = published(database_url, mock_broker, topic, "order/1")
    assert record.headers[:2] == [("id", event_id.encode()), ("eventType", b"OrderCreated")]
    assert [name for name, _ in record.headers[2:]] == ["ce_sequence", "ce_outboxepoch"]
    assert (record.key, record.value) == (b"order/1", b'{"n": 1}')


def test_an_unknown_envelope_is_refused_by_name() -> None:
    outcome = relay("run", database_url="postgresql://h/d", RELAY_ENVELOPE="avro")
    assert outcome.exit_code == 78
    assert "RELAY_ENVELOPE: Input should be 'cloudevents' or 'debezium'" in outcome.err
    assert "RELAY_SOURCE" not in outcome.err


def test_the_source_is_asked_for_only_where_it_is_sent() -> None:
    for envelope, faults in (("debezium", 0), ("cloudevents", 1)):
        outcome = relay("run", unset="RELAY_DATABASE_URL RELAY_SOURCE", RELAY_ENVELOPE=envelope)
        assert outcome.err.count("RELAY_SOURCE: is not set") == faults
