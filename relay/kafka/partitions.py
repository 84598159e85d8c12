"""Where events of one producer go, and which partitions know that producer.

A broker refuses a batch that leaves a gap in a producer's sequence numbers. That is what keeps a
later event from overtaking one that failed: its batch is refused as well. But the first batch that
a partition ever sees of a producer is taken whatever its number is (the broker must allow for state
that it has expired; Kafka's ProducerAppendInfo.checkSequence). So of two batches on their way to a
partition that does not know the producer, the first can be refused and the second appended:
2, 3, 1, which no consumer can repair. Measured: 5 of 6 times with a first event over the topic's
max.message.bytes; limiting the requests in flight to one did not help.

So the first event of each partition goes alone, and everything behind it once it is acknowledged.

That a partition knows the producer is believed for KNOWN_FOR_S only, and so is how many partitions
a topic has: a broker forgets a producer that was silent (after a day by default), a topic is made
anew, partitions are added. The client's own refresh is off, so that it learns of new partitions
when this does; what remains open is a topic that is deleted and made anew within that time.
"""

from __future__ import annotations

from functools import lru_cache
from zlib import crc32

from confluent_kafka import KafkaError, Producer

from relay.core.inputs import Row, Rows, position
from relay.core.murmur2 import java_partition

__all__ = ["KNOWN_FOR_S", "Partitions"]

KNOWN_FOR_S = 60.0
"""Far below the shortest producer.id.expiration.ms in use; the cost is one small page a minute."""

METADATA_TIMEOUT_S = 1.0
"""Within the lease's margin: no event is handed over meanwhile."""

KEYS_REMEMBERED_MAX = 4_096
"""A key's partition takes 10 us to compute here; this bounds the memory at 8 KB a key."""

_partition_of_key = lru_cache(KEYS_REMEMBERED_MAX)(java_partition)


class Partitions:
    """The partitions of the topics that one producer writes to, as of one moment."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._counts: dict[str, int] = {}
        self._unknowing: dict[str, set[int]] = {}

    def refused(self, rows: Rows) -> tuple[KafkaError, str] | None:
        """The first topic of `rows` that the broker will not have, and what it says of it.

        Asked before anything is handed over: handed over, the event would wait for its topic, and
        those behind it for the event. Raises KafkaException when the broker does not answer.
        """
        topics = dict.fromkeys(row[2] for row in rows)
        if not topics.keys() <= self._counts.keys():
            self._learn_all()
        for topic in topics:
            if topic not in self._counts and (error := self._learn(topic)) is not None:
                return error, topic
        return None

    def knows(self, topic: str) -> bool:
        """Whether the broker has the topic, asked anew; raises KafkaException as `refused` does."""
        return self._learn(topic) is None

    def of_keyless(self, topic: str, event_id: str) -> int:
        """The partition of an event without a key.

        The client would draw another one at each attempt. By its id an event keeps it.
        """
        return crc32(event_id.encode()) % self._counts[topic]

    def first_of_each(self, rows: Rows) -> dict[int, Row]:
        """By position, the first event for each partition that does not know the producer yet."""
        first: dict[int, Row] = {}
        claimed: set[tuple[str, int]] = set()
        for row in rows:
            if unknowing := self._unknowing[row[2]]:
                place = (row[2], self._of(row))
                if place[1] in unknowing and place not in claimed:
                    claimed.add(place)
                    first[position(row)] = row
        return first

    def know(self, rows: Rows) -> None:
        """The partitions of `rows` have acknowledged an event of the producer."""
        for row in rows:
            self._unknowing[row[2]].discard(self._of(row))

    def _of(self, row: Row) -> int:
        _, event_id, topic, key, *_ = row
        if key is None:
            return self.of_keyless(topic, event_id)
        return _partition_of_key(key.encode(), self._counts[topic])

    def _learn_all(self) -> None:
        """Every topic at once: asked one by one, a page of a thousand topics would take seconds."""
        for name, found in self._producer.list_topics(timeout=METADATA_TIMEOUT_S).topics.items():
            self._note(name, len(found.partitions))

    def _learn(self, topic: str) -> KafkaError | None:
        """What is wrong with a topic that was not among all; None if it has come to be."""
        found = self._producer.list_topics(topic, METADATA_TIMEOUT_S).topics[topic]
        self._note(topic, len(found.partitions))
        return None if found.partitions else found.error or _NO_PARTITIONS

    def _note(self, topic: str, count: int) -> None:
        if count:
            self._counts[topic] = count
            self._unknowing[topic] = set(range(count))


_NO_PARTITIONS = KafkaError(KafkaError.LEADER_NOT_AVAILABLE)
