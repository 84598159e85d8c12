"""How far the last committed transaction got, kept in Kafka: one small record in each transaction.

Where? Naive: as offsets of a consumer group (`send_offsets_to_transaction`), which is what streams
do. They expire when nobody was there for offsets.retention.minutes (seven days by default), their
text holds 4 KB, they hang on a topic whose lag then means nothing to those who watch it, and each
transaction makes two more requests, one after the other (measured: 90 ms a transaction of one
event, and 35 ms with a record). So it is a record, as in Kafka Connect (KIP-618), in a topic of its
own, of one partition, compacted, named like the transactional.id:

  - a transaction that another outbox left open cannot hold up the reading: a consumer of what is
    committed stops at the first open one of its partition, and no other outbox writes to this;
  - the last record is always ours, so the end of the log is all that is read.

The end is where the broker's high watermark stood when the earlier producers were shut out: by then
each of their transactions has its marker. A reading that stops before it (a broker that is behind)
has not seen the last word, and is not believed.

What is lost when somebody deletes the topic: nothing, but the transaction that was committed and
not yet stored in the database goes out again, if the leader dies just then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from relay.core.reached import Reached
from relay.kafka.error_codes import is_of_topic
from relay.kafka.properties import SILENT

__all__ = ["CutShort", "Positions", "decoded", "encoded"]

REQUEST_TIMEOUT_S = 1.0
"""Within the lease's margin."""

POLL_S = 0.1
TAIL_OFFSETS = 100
"""A transaction takes two: its record and its marker. An aborted one too, and says nothing."""

_TOPIC = {"cleanup.policy": "compact", "segment.bytes": str(16 * 1024 * 1024)}
_CONSUMER: Mapping[str, Any] = {
    "group.id": "outbox-relay",  # asked for by the client; never joined
    "isolation.level": "read_committed",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "allow.auto.create.topics": False,
    "fetch.wait.max.ms": 10,
    "logger": SILENT,
}


class CutShort(Exception):
    """The reading was given up before its end. Nothing is known of the last word."""


def encoded(reached: Reached) -> bytes:
    """The record's value, for people to read as well."""
    found: dict[str, object] = {
        "window": reached.window_id,
        "position": reached.position,
        "stored_to": reached.stored_to,
    }
    if reached.left_out:
        found["left_out"] = sorted(reached.left_out)
    return json.dumps(found).encode()


def decoded(value: bytes) -> Reached:
    """What `encoded` wrote, by this version or a later one that says more."""
    found = json.loads(value)
    left_out = frozenset(int(one) for one in found.get("left_out", ()))
    stored_to = int(found.get("stored_to", 0))
    return Reached(str(found["window"]), int(found["position"]), left_out, stored_to)


class Positions:
    """The topic of one outbox."""

    def __init__(self, connection: Mapping[str, Any], topic: str) -> None:
        """`connection`: the properties that lead to the brokers."""
        self._connection = connection
        self.topic = topic

    def make(self) -> None:
        """Make the topic if it is missing. Raises KafkaException when the broker will not.

        Never by accident: exactly-once delivery was asked for, and cannot be had without it.
        """
        configuration: dict[str, Any] = {**self._connection, "logger": SILENT}
        admin = AdminClient(configuration)
        found = admin.list_topics(self.topic, REQUEST_TIMEOUT_S).topics[self.topic]
        if not found.partitions:
            asked = admin.create_topics([NewTopic(self.topic, 1, -1, config=_TOPIC)])
            try:
                asked[self.topic].result(REQUEST_TIMEOUT_S * 5)
            except KafkaException as problem:
                if problem.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise

    def last(self, keep_going: Callable[[], bool]) -> Reached | None:
        """What was committed last, None if nothing ever was.

        To be asked when the earlier producers are shut out. Raises KafkaException, and CutShort
        when `keep_going` says no.
        """
        with closing(Consumer({**self._connection, **_CONSUMER})) as consumer:
            place = TopicPartition(self.topic, 0)
            first, end = consumer.get_watermark_offsets(place, timeout=REQUEST_TIMEOUT_S)
            place.offset = max(first, end - TAIL_OFFSETS)
            value = _last_value(consumer, place, end, keep_going)
            if value is None and place.offset > first:
                place.offset = first
                value = _last_value(consumer, place, end, keep_going)
        return None if value is None else decoded(value)


def _last_value(
    consumer: Consumer, place: TopicPartition, end: int, keep_going: Callable[[], bool]
) -> bytes | None:
    consumer.assign([place])
    last: bytes | None = None
    while keep_going():
        message = consumer.poll(POLL_S)
        if message is None:
            continue
        if _is_end(message):
            _, high = consumer.get_watermark_offsets(place, cached=True)
            if (message.offset() or 0) >= max(end, high):
                return last
        elif (error := message.error()) is None:
            last = message.value()
        elif is_of_topic(error):
            raise KafkaException(error)
        # The client says of all else that it tries again; and that it may not use its group, which
        # it asks about unasked, and which nothing here needs.
    raise CutShort


def _is_end(message: Message) -> bool:
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF
