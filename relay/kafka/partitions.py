"""Where events of one producer go, and which partitions know that producer.

A broker refuses a batch that leaves a gap in a producer's sequence numbers. That is what keeps a
later event from overtaking one that failed: its batch is refused as well. But the first batch that
a partition ever sees of a producer is taken whatever its number is (the broker must allow for state
that it has expired; Kafka's ProducerAppendInfo.checkSequence). So of two batches on their way to a
partition that does not know the producer yet, the first can be refused and the second appended:
2, 3, 1, which no consumer can repair. Measured: 5 of 6 times with a first event over the topic's
max.message.bytes; limiting the requests in flight to one did not help.

So the first event of each partition goes alone, and everything behind it once it is acknowledged.
"""

from __future__ import annotations

from functools import lru_cache
from zlib import crc32

from confluent_kafka import KafkaError, Producer

from relay.core.inputs import Row, Rows, position
from relay.core.murmur2 import java_partition

__all__ = ["Partitions"]

METADATA_TIMEOUT_S = 1.0
KEYS_REMEMBERED_MAX = 4_096

_partition_of_key = lru_cache(KEYS_REMEMBERED_MAX)(java_partition)


class Partitions:
    """The partitions of the topics that one producer writes to; thrown away with it."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._counts: dict[str, int] = {}
        self._unknowing: dict[str, set[int]] = {}

    def refused(self, rows: Rows) -> tuple[KafkaError, str] | None:
        """The first topic of `rows` that the broker will not have, and what it says of it.

        Asked before anything is handed over: handed over, the event would wait for its topic, and
        those behind it for the event. Raises KafkaException when the broker does not answer.
        """
        for topic in dict.fromkeys(row[2] for row in rows):
            if topic not in self._counts:
                error, _ = self._ask(topic)
                if error is not None:
                    return error, topic
        return None

    def of_keyless(self, topic: str, event_id: str) -> int:
        """The partition of an event without a key; -1, the client's choice, if there is no topic.

        The client would draw another one at each attempt. By its id an event keeps it.
        """
        count = self._count(topic)
        return crc32(event_id.encode()) % count if count else -1

    def first_of_each(self, rows: Rows) -> dict[int, Row]:
        """By position, the first event for each partition that does not know the producer yet."""
        first: dict[int, Row] = {}
        claimed: set[tuple[str, int]] = set()
        for row in rows:
            topic = row[2]
            unknowing = self._unknowing.get(topic)
            if unknowing is None or unknowing:
                place = (topic, self._of(row))
                if place not in claimed and self._is_unknowing(*place):
                    claimed.add(place)
                    first[position(row)] = row
        return first

    def know(self, rows: Rows) -> None:
        """The partitions of `rows` have acknowledged an event of the producer."""
        for row in rows:
            self._unknowing.get(row[2], set()).discard(self._of(row))

    def _of(self, row: Row) -> int:
        _, event_id, topic, key, *_ = row
        count = self._count(topic)
        if key is None or not count:
            return self.of_keyless(topic, event_id)
        return _partition_of_key(key.encode(), count)

    def _is_unknowing(self, topic: str, partition: int) -> bool:
        """Also of a topic that is not there: its first event says so alone."""
        unknowing = self._unknowing.get(topic)
        return unknowing is None or partition in unknowing

    def _ask(self, topic: str) -> tuple[KafkaError | None, int]:
        """What is wrong with the topic, and how many partitions it has."""
        found = self._producer.list_topics(topic, METADATA_TIMEOUT_S).topics[topic]
        return found.error, len(found.partitions)

    def _count(self, topic: str) -> int:
        """How many partitions the topic has; 0, not remembered, while it does not exist.

        Raises KafkaException when the broker does not say within METADATA_TIMEOUT_S.
        """
        if topic not in self._counts:
            _, count = self._ask(topic)
            if not count:
                return 0
            self._counts[topic] = count
            self._unknowing[topic] = set(range(count))
        return self._counts[topic]
