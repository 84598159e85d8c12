"""What is compared lies on disk by key, so that memory holds a part of it at a time.

Naive: all events and all records in memory, a kilobyte each. The checker judges keys independently,
so both sides are put into buckets by a hash of the key (without one, of the id) as they are read,
and each bucket is judged alone. That is the grace hash join. Of one key everything is in one
bucket, in the order in which it was read.

Keys and headers of events lie there in clear, in a folder that only its owner can read and that is
gone afterwards; payloads as hashes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import IO, Any, NamedTuple, Self
from zlib import crc32

from relay.core.history import Seen
from relay.core.span import Place

__all__ = ["BUCKETS_MAX", "EVENTS_PER_BUCKET", "Buckets", "Written"]

EVENTS_PER_BUCKET = 10_000
"""Some 5 kB each while they are judged, their records included."""

BUCKETS_MAX = 200
"""Two files each, within the 1,024 that a process may open by default."""


class Written(NamedTuple):
    """An event as its row has it: what a record of it must say, and its place."""

    place: Place
    event_id: str
    topic: str
    key: str | None
    payload_hash: bytes | None
    headers: dict[str, str]


class Buckets:
    """Events and records in as many parts as keep each small."""

    def __init__(self, events: int) -> None:
        """`events`: about how many will come."""
        self.count = min(BUCKETS_MAX, max(1, -(-events // EVENTS_PER_BUCKET)))
        self._stack = ExitStack()
        self._folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="relay-verify-")))
        self._written = [self._file(f"written-{n}") for n in range(self.count)]
        self._seen = [self._file(f"seen-{n}") for n in range(self.count)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def write(self, one: Written) -> None:
        """Keep an event; those of a key come in the order of their publication."""
        payload = one.payload_hash and one.payload_hash.hex()
        line = [*one.place, one.event_id, one.topic, one.key, payload, one.headers]
        self._written[self._of(one.key, one.event_id)].write(json.dumps(line) + "\n")

    def see(self, one: Seen) -> None:
        """Keep a record; those of a partition come in the order of their offsets."""
        value = one.value_hash and one.value_hash.hex()
        line = [one.topic, one.partition, one.offset, one.key, one.event_id, value, one.headers]
        self._seen[self._of(one.key, one.event_id)].write(json.dumps(line) + "\n")

    def written(self, bucket: int) -> Iterator[Written]:
        """The events of a bucket."""
        for window, position, event_id, topic, key, payload, headers in _lines(
            self._written[bucket]
        ):
            place = Place(window, position)
            yield Written(place, event_id, topic, key, _hash(payload), headers)

    def seen(self, bucket: int) -> Iterator[Seen]:
        """The records of a bucket."""
        for topic, partition, offset, key, event_id, value, headers in _lines(self._seen[bucket]):
            yield Seen(topic, partition, offset, key, event_id, _hash(value), headers)

    def _file(self, name: str) -> IO[str]:
        return self._stack.enter_context((self._folder / name).open("w+", encoding="ascii"))

    def _of(self, key: str | None, event_id: str) -> int:
        text = event_id if key is None else key
        return crc32(text.encode("utf-8", "surrogateescape")) % self.count


def _lines(file: IO[str]) -> Iterator[list[Any]]:
    file.seek(0)
    return map(json.loads, file)


def _hash(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)
