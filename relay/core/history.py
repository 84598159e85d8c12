"""What writers meant and what stands in Kafka: the values that the checker compares.

A writer logs a `Meant` for each event and how it ended; a reader makes a `Seen` of each record of
the log. Both are plain tuples: a proof over 1,000,000 events holds two million of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

from relay.core.replay import REPLAY_HEADER

RELEASED_HEADER = "ce_outboxreleased"
"""Of an event that was parked: its place is that of its release."""

# These hold an event's place, which is the same on every attempt inside one epoch only.
_PLACE_HEADERS = frozenset({"ce_sequence", "ce_outboxepoch", RELEASED_HEADER})

# What the relay adds to each record; any other header must be the writer's.
_RELAY_HEADERS = frozenset(
    {"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type", REPLAY_HEADER}
    | _PLACE_HEADERS
)


class Outcome(StrEnum):
    """How a writer's transaction (or savepoint) ended, as far as the writer knows."""

    COMMITTED = "committed"
    ROLLED_BACK = "rolled_back"
    UNKNOWN = "unknown"


class Meant(NamedTuple):
    """One event that a writer meant to write.

    `n` rises by one with each event of a key that is in the database, in commit order; without a
    key it says nothing. `headers` are the writer's own, and any of the relay's (`ce_type`, say)
    whose value the writer can tell. `in_database` is read for UNKNOWN only.
    """

    writer: str
    key: str | None
    n: int
    event_id: str
    topic: str
    payload_hash: bytes | None
    headers: Mapping[str, str]
    outcome: Outcome
    in_database: bool = False

    @property
    def stands(self) -> bool:
        """Whether the event is in the database, so that Kafka must have it."""
        if self.outcome is Outcome.UNKNOWN:
            return self.in_database
        return self.outcome is Outcome.COMMITTED


class Seen(NamedTuple):
    """One record of the log, as a consumer got it. A tombstone's hash is None."""

    topic: str
    partition: int
    offset: int
    key: str | None
    event_id: str
    value_hash: bytes | None
    headers: Mapping[str, str]

    @property
    def place(self) -> str:
        """Where the record stands, for a sentence: topic[partition]@offset."""
        return f"{self.topic}[{self.partition}]@{self.offset}"

    @property
    def is_replayed(self) -> bool:
        """Whether it is none of the stream, but was sent again on purpose."""
        return REPLAY_HEADER in self.headers


@dataclass(frozen=True)
class History:
    """All that is judged.

    `meant` is in commit order per key, `log` in offset order per partition; `parked` are ids of
    events that are parked or were discarded.
    """

    meant: Sequence[Meant]
    log: Iterable[Seen]
    parked: Set[str] = frozenset()


def payload_hash(value: bytes | None) -> bytes | None:
    """Hash a payload for Meant and Seen; a tombstone stays None, so that it is not an empty one."""
    return None if value is None else sha256(value).digest()


def seen_record(
    *,
    topic: str,
    partition: int,
    offset: int,
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes | None]],
) -> Seen:
    """Make a Seen of a raw Kafka record.

    Bytes that are not UTF-8 become surrogates, a header without a value or one that comes twice
    gets a name of its own: none can equal what a writer wrote, so each is found.
    """
    texts: dict[str, str] = {}
    for name, raw in headers:
        unlike = " (null)" if raw is None else " (again)" if name in texts else ""
        texts[name + unlike] = _text(raw or b"")
    key_text = None if key is None else _text(key)
    event_id = texts.get("ce_id", "")
    return Seen(topic, partition, offset, key_text, event_id, payload_hash(value), texts)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def by_id(meant: Sequence[Meant]) -> tuple[dict[str, Meant], dict[str, Meant]]:
    """Split what was meant into events that stand in the database and events that do not.

    A retry carries the same id, so one id may be rolled back and then committed: it stands.

    Raises:
        ValueError: Two standing events have one id, or a key's n does not rise by one.
    """
    standing: dict[str, Meant] = {}
    refused: dict[str, Meant] = {}
    newest_n: dict[str, int] = {}
    for one in meant:
        if not one.stands:
            refused[one.event_id] = one
            continue
        if one.event_id in standing:
            raise ValueError(f"event {one.event_id} was committed twice: an id names one event")
        standing[one.event_id] = one
        if one.key is not None:
            _require_next_n(one, newest_n.get(one.key, one.n - 1))
            newest_n[one.key] = one.n
    return standing, refused


def _require_next_n(one: Meant, newest_n: int) -> None:
    if one.n != newest_n + 1:
        raise ValueError(
            f"not in commit order: event {one.event_id} of key {one.key!r} has n={one.n} "
            f"after n={newest_n}"
        )


def why_refused(meant: Meant | None) -> str:
    """Say why an event that Kafka has should not be there; None when no writer knows of it."""
    if meant is None:
        return "nobody meant to write it"
    if meant.outcome is Outcome.UNKNOWN:
        return "its commit was unknown and its row is not in the database"
    return f"writer {meant.writer} rolled it back"


def difference(record: Seen, meant: Meant) -> str:
    """Say how a record differs from what was written; empty when it does not.

    Values are named and never quoted: what a user sent may be private.
    """
    if record.topic != meant.topic:
        return f"was meant for topic {meant.topic}"
    if record.key != meant.key:
        return f"was written with key {meant.key!r}"
    if record.value_hash != meant.payload_hash:
        return "has another value than was written"
    return _header_difference(record.headers, meant.headers)


def _header_difference(published: Mapping[str, str], written: Mapping[str, str]) -> str:
    for name, text in written.items():
        if published.get(name) != text:
            return f"has another header {name!r} than was written"
    if extra := published.keys() - _RELAY_HEADERS - written.keys():
        return f"has a header {min(extra)!r} that nobody wrote"
    return ""


def same_record(record: Seen, first: Seen) -> bool:
    """Whether a repeat has the bytes of its first appearance, place included.

    The place may differ when it belongs to a new epoch, after a failover, or when the event was
    parked and released in between, as one of both says then; and in no other case.
    """
    if (record.key, record.value_hash) != (first.key, first.value_hash):
        return False
    if record.headers == first.headers:
        return True
    same_epoch = record.headers.get("ce_outboxepoch") == first.headers.get("ce_outboxepoch")
    is_released = RELEASED_HEADER in {*record.headers, *first.headers}
    if same_epoch and not is_released:
        return False
    return _without_place(record.headers) == _without_place(first.headers)


def _without_place(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in headers.items() if name not in _PLACE_HEADERS}
