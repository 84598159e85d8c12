"""The consumer, a process of its own: takes each event once, through the inbox.

    python -m relay.demo.consumer TOPIC NAME

One transaction a batch holds the inbox's note, the consumer's own writes, and the record of what
was read. The offsets are committed to Kafka after it. Whichever of the two is lost in a crash, the
records come again, and the inbox drops them.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import Final
from uuid import UUID

import psycopg
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from sqlalchemy import Engine, create_engine

from coordinator.inbox.once import first_seen
from relay import config
from relay.core.history import Seen, seen_record
from relay.daemon.shutdown import stop_on_signals
from relay.demo.tables import INSERT_RECORD, INSERT_TAKEN, as_text
from relay.errors import BadConfiguration
from relay.observe import logs

_BATCH_MAX: Final = 500
_POLL_S: Final = 0.1
# The shortest that a broker takes by default, so that a dead consumer's partitions are free soon.
_SESSION_TIMEOUT_MS: Final = 6_000

# A broker answers as soon as there is a record; the mock cluster only when this time is over.
_FETCH_WAIT_MS: Final = 10


def main(topic: str, name: str) -> None:
    """Consume `topic` as `name` until a signal; database and broker are those of the relay."""
    database, bootstrap_servers = config.given_services()
    if database is None or bootstrap_servers is None:
        raise BadConfiguration("RELAY_DATABASE_URL and RELAY_KAFKA_BOOTSTRAP_SERVERS must be set")
    with logs.configured() as last_words:
        stopping = stop_on_signals(last_words)
        engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(database))
        consumer = Consumer(_properties(bootstrap_servers, name))
        consumer.subscribe([topic], on_assign=_joined)
        try:
            _consume(consumer, engine, name, stopping)
        finally:
            consumer.close()
            logs.log.info("stopped")


def _properties(bootstrap_servers: str, name: str) -> dict[str, str | int | bool]:
    return {
        **config.kafka_properties(),
        "bootstrap.servers": bootstrap_servers,
        "group.id": name,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "session.timeout.ms": _SESSION_TIMEOUT_MS,
        "fetch.wait.max.ms": _FETCH_WAIT_MS,
        "log_level": 0,
    }


def _joined(_: Consumer, partitions: list[TopicPartition]) -> None:
    logs.log.info("joined", partitions=len(partitions))


def _consume(consumer: Consumer, engine: Engine, name: str, stopping: threading.Event) -> None:
    while not stopping.is_set():
        # `consume` alone would wait until the batch is full or the time is over.
        first = consumer.poll(_POLL_S)
        if first is None:
            continue
        batch = [_seen(one) for one in (first, *consumer.consume(_BATCH_MAX - 1, 0))]
        _take(engine, batch, name)
        # Refused after a rebalance: whoever has the partition now reads this batch again.
        with contextlib.suppress(KafkaException):
            consumer.commit(asynchronous=False)


def _take(engine: Engine, batch: list[Seen], name: str) -> None:
    # By id: the batch may hold an event twice.
    written_at = {UUID(one.event_id): one.headers["ce_time"] for one in batch}
    with engine.begin() as connection:
        new = first_seen(connection, written_at.keys(), consumer=name)
        if new:
            rows = [{"event_id": one, "written_at": written_at[one]} for one in new]
            connection.execute(INSERT_TAKEN, rows)
        read = [
            {"partition": one.partition, "offset": one.offset, "seen": as_text(one)}
            for one in batch
        ]
        connection.execute(INSERT_RECORD, read)


def _seen(message: Message) -> Seen:
    if (error := message.error()) is not None:
        raise KafkaException(error)
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    headers = message.headers() or []
    if topic is None or partition is None or offset is None or isinstance(headers, dict):
        raise AssertionError("a record that was consumed has a place, and its headers are a list")
    return seen_record(
        topic=topic,
        partition=partition,
        offset=offset,
        key=message.key(),
        value=message.value(),
        headers=[(name, one.encode() if isinstance(one, str) else one) for name, one in headers],
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
