"""What stands in a topic, read without a group and from the beginning, as a checker reads it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

_POLL_S: Final = 0.1
_BATCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class Record:
    """One record, nothing left out. `timestamp` in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    timestamp: int

    def header(self, name: str) -> bytes | None:
        """The value of the only header of this name."""
        (value,) = [value for known, value in self.headers if known == name]
        return value


class TopicReader:
    """Reads on from where it stopped: for a load that the mock forgets before the test ends.

    Attributes:
        records: all that was read so far.
    """

    def __init__(self, consumer: Consumer, topic: str) -> None:
        self.records: list[Record] = []
        self._consumer = consumer
        self._topic = topic
        partitions = consumer.list_topics(topic, timeout=10.0).topics[topic].partitions
        assert partitions, f"topic {topic} does not exist"
        self._next = dict.fromkeys(partitions, OFFSET_BEGINNING)
        self._unfinished: set[int] = set()

    def read(self, *, at_least: int = 0, timeout_s: float = 30.0) -> list[Record]:
        """Read until there are `at_least` records in all and every partition is at its end.

        Going on to the end shows what should not be there, such as a duplicate behind the last
        expected record.

        Raises:
            AssertionError: not within `timeout_s`; names both numbers.
        """
        deadline = monotonic() + timeout_s
        # Assigned anew each time: the end of a partition is told once for each assignment.
        self._consumer.assign([TopicPartition(self._topic, *place) for place in self._next.items()])
        self._unfinished = set(self._next)
        while self._unfinished or len(self.records) < at_least:
            if monotonic() > deadline:
                seen = f"{len(self.records)} records in {self._topic} in {timeout_s:g} s"
                raise AssertionError(f"{seen}, wanted {at_least} and the end of every partition")
            for message in self._consumer.consume(_BATCH, _POLL_S):
                self._take(message)
        return self.records

    def _take(self, message: Message) -> None:
        error, partition = message.error(), message.partition()
        assert partition is not None
        if error is None:
            record = _record(message)
            self.records.append(record)
            self._next[partition] = record.offset + 1
            self._unfinished.add(partition)  # its end is where no record follows
        elif error.code() == KafkaError._PARTITION_EOF:
            self._unfinished.discard(partition)
        else:
            raise KafkaException(error)


def _record(message: Message) -> Record:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    headers = message.headers() or []
    assert isinstance(headers, list)  # a dict is for producing only
    return Record(
        topic,
        partition,
        offset,
        message.key(),
        message.value(),
        [(name, value.encode() if isinstance(value, str) else value) for name, value in headers],
        message.timestamp()[1],
    )


@contextmanager
def topic_reader(
    bootstrap: str, topic: str, *, isolation: str = "read_uncommitted"
) -> Iterator[TopicReader]:
    """A reader at the beginning of every partition of `topic`."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "checker",  # required, and never joined: partitions are assigned by hand
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": isolation,
            "fetch.wait.max.ms": 20,  # an empty partition is told to be at its end after this time
            "log_level": 0,
        }
    )
    try:
        yield TopicReader(consumer, topic)
    finally:
        consumer.close()


def read_topic(
    bootstrap: str,
    topic: str,
    *,
    at_least: int = 0,
    timeout_s: float = 30.0,
    isolation: str = "read_uncommitted",
) -> list[Record]:
    """All records of `topic`, `at_least` so many; within a partition in order. See
    `TopicReader.read`."""
    with topic_reader(bootstrap, topic, isolation=isolation) as reader:
        return reader.read(at_least=at_least, timeout_s=timeout_s)
