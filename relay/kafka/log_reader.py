"""What stands in a topic from a moment on, as a `read_committed` consumer sees it.

Partitions are assigned by hand and nothing is committed, so no group is disturbed and none is left
behind. It ends where the topic ended when it was asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import wait
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, and not in its __all__
    AdminClient,
    ConfigResource,
)

from relay.core.history import Seen, seen_record
from relay.errors import Unreachable
from relay.kafka.certificates import Certificates
from relay.kafka.properties import SILENT

__all__ = ["LogReader", "TopicLog"]

ASK_TIMEOUT_S = 10.0
CONFIGURATION_TIMEOUT_S = 5.0

RECORDS_AT_ONCE = 1_000
WAIT_S = 0.1
"""As the client waits for so long even when fewer records are there."""

SILENCE_MAX_S = 30.0
"""A topic that gives nothing for so long, and is not at its end, cannot be read."""


@dataclass(frozen=True, slots=True)
class TopicLog:
    """A topic's partitions, from where they are read.

    Attributes:
        begins: of each partition the first offset that is read.
        ends: of each partition the offset behind the last.
        trimmed: partitions whose older records are gone, so that what is read may begin late.
        is_compacted: whether the broker says that it removes records with a newer one of their key.
    """

    topic: str
    begins: Mapping[int, int]
    ends: Mapping[int, int]
    trimmed: frozenset[int]
    is_compacted: bool


class LogReader:
    """Reads topics of one cluster; each method raises Unreachable when it does not answer."""

    def __init__(self, bootstrap_servers: str, properties: Mapping[str, str]) -> None:
        """`properties` are the user's of librdkafka; those of producers alone do nothing here."""
        self._servers = {**properties, "bootstrap.servers": bootstrap_servers}
        ours = {
            "group.id": "outbox-relay-verify",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
            "log_level": 0,
            "error_cb": self._note_error,
        }
        self._said = ""
        self._certificates = Certificates(self._servers, monotonic)
        self._consumer = Consumer({**self._servers, **ours, "logger": SILENT})

    def close(self) -> None:
        """Give the connections back."""
        self._consumer.close()

    def find(self, topic: str, from_s: float) -> TopicLog | None:
        """Where the records of `from_s` (seconds since 1970) and later are; None without a topic.

        A time before 1970 is the beginning.
        """
        try:
            found = self._consumer.list_topics(topic, timeout=ASK_TIMEOUT_S).topics[topic]
            places = [TopicPartition(topic, number) for number in found.partitions]
            if not places:
                return None
            ends = [self._consumer.get_watermark_offsets(one, ASK_TIMEOUT_S) for one in places]
            begins = self._begins(places, int(max(0.0, from_s) * 1_000))
        except KafkaException as problem:
            self._consumer.poll(0)  # what the client has to say of it comes by a callback
            raise Unreachable(f"broker: {self._said or problem.args[0].str()}") from None
        low = {one.partition: end[0] for one, end in zip(places, ends, strict=True)}
        high = {one.partition: end[1] for one, end in zip(places, ends, strict=True)}
        first = {n: self._first(begins[n], low[n], high[n]) for n in low}
        trimmed = frozenset(n for n in low if low[n] > 0 and first[n] <= low[n])
        return TopicLog(topic, first, high, trimmed, self._is_compacted(topic))

    def read(self, log: TopicLog) -> Iterator[Seen]:
        """Its records, in the order of their offsets within each partition."""
        unread = {n for n, begin in log.begins.items() if begin < log.ends[n]}
        self._consumer.assign([TopicPartition(log.topic, n, log.begins[n]) for n in unread])
        silent_s = 0.0
        while unread:
            messages = self._consumer.consume(RECORDS_AT_ONCE, WAIT_S)
            silent_s = 0.0 if messages else silent_s + WAIT_S
            if silent_s > SILENCE_MAX_S:
                raise Unreachable(f"broker: {log.topic} gave nothing for {SILENCE_MAX_S:g} s")
            for message in messages:
                seen = self._taken(message, log, unread)
                if seen is not None:
                    yield seen
        self._consumer.unassign()

    def _note_error(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # which does not say why
            self._said = self._certificates.explained(error.str())

    def _taken(self, message: Message, log: TopicLog, unread: set[int]) -> Seen | None:
        partition, offset = message.partition(), message.offset()
        if partition is None or offset is None:
            raise Unreachable(f"broker: {message.error()}")
        if (error := message.error()) is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                raise Unreachable(f"broker: {error.str()}")
            unread.discard(partition)
            return None
        # What came after the question is left out; an end may also lie behind the last record.
        if offset + 1 >= log.ends[partition]:
            unread.discard(partition)
        return _seen(message, partition, offset) if offset < log.ends[partition] else None

    def _begins(self, places: list[TopicPartition], at_ms: int) -> dict[int, int | None]:
        """By partition the first offset of that time, None where there is none so late.

        A broker that knows no times (the mock) answers so even to the beginning of time: then all
        of the partition is read.
        """
        begins = self._offsets(places, at_ms)
        if None not in begins.values():
            return begins
        known = self._offsets(places, 0)
        return {n: 0 if begin is known[n] is None else begin for n, begin in begins.items()}

    def _offsets(self, places: list[TopicPartition], at_ms: int) -> dict[int, int | None]:
        asked = [TopicPartition(one.topic, one.partition, at_ms) for one in places]
        found = self._consumer.offsets_for_times(asked, timeout=ASK_TIMEOUT_S)
        return {one.partition: None if one.offset < 0 else one.offset for one in found}

    @staticmethod
    def _first(begin: int | None, low: int, high: int) -> int:
        return high if begin is None else max(begin, low)

    def _is_compacted(self, topic: str) -> bool:
        """False as well where the broker does not tell."""
        configuration: dict[str, Any] = {**self._servers, "log_level": 0, "logger": SILENT}
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        # By a name: let go of before the answer is there, it takes the question back.
        admin = AdminClient(configuration)
        answers = admin.describe_configs([resource], request_timeout=CONFIGURATION_TIMEOUT_S)
        in_time, _ = wait(answers.values(), CONFIGURATION_TIMEOUT_S)
        for answer in in_time:
            with suppress(KafkaException, KeyError):
                return "compact" in str(answer.result()["cleanup.policy"].value)
        return False


def _seen(message: Message, partition: int, offset: int) -> Seen:
    headers = message.headers() or []
    return seen_record(
        topic=message.topic() or "",
        partition=partition,
        offset=offset,
        key=message.key(),
        value=message.value(),
        headers=headers,  # type: ignore[arg-type]  # a list, as it was consumed
    )
