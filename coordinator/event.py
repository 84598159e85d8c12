"""An event as a writer hands it to the outbox: frozen, and checked when it is made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import urandom
from typing import Any, TypeVar
from uuid import UUID

from coordinator.errors import InvalidEvent
from coordinator.validation import (
    check_content_type,
    check_headers,
    check_key,
    check_payload,
    check_topic,
    check_type,
)

Data = TypeVar("Data")

# Always the standard library's, even where orjson is there: orjson writes NaN as null, takes what
# this refuses (a datetime, a UUID) and refuses what this takes (a key that is a number, an integer
# of more than 64 bits). What an event may hold, and its bytes, would depend on what happens to be
# installed. It costs 14 us more for 400 bytes; who wants them hands orjson.dumps to `of`.
_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class UnchosenId(UUID):
    """A random id that stands where the writer gave none.

    A type of its own, so that a transaction with a key can put one there that a retry repeats.
    """


def _unchosen_id() -> UUID:
    return UnchosenId(bytes=urandom(16), version=4)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEvent:
    """One event; every field is kept as it is given, byte for byte.

    Attributes:
        topic: Kafka topic, 1 to 249 of the characters A-Z a-z 0-9 . _ -.
        key: orders the events that share it; at most 8,192 bytes as UTF-8. None spreads events over
            the partitions; an empty text is a key like any other.
        type: what happened, 1 to 255 printable characters, e.g. `run.completed`.
        payload: at most 1,000,000 bytes; None for a tombstone only.
        content_type: of the payload, 1 to 255 printable characters.
        headers: text to text, at most 16,384 bytes as JSON; names `ce_*` and `content-type` are the
            relay's.
        id: the idempotency key. Made here, by the client, so that a retry carries the same one; a
            `Coordinator` derives one from its key instead, unless the writer gave one.
        is_tombstone: made by `tombstone`: a payload that was forgotten never deletes anything
            downstream.

    Raises:
        InvalidEvent: a field breaks its rule; the error names it, the problem and the limit.
    """

    topic: str
    key: str | None
    type: str
    payload: bytes | None
    content_type: str = "application/octet-stream"
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    id: UUID = field(default_factory=_unchosen_id)
    is_tombstone: bool = False

    def __post_init__(self) -> None:
        check_topic(self.topic)
        check_key(self.key)
        check_type(self.type)
        check_content_type(self.content_type)
        check_headers(self.headers)
        self._check_payload()
        if not isinstance(self.id, UUID):
            raise InvalidEvent("id", f"must be a UUID, not {type(self.id).__name__}")
        # A copy: a dict that the caller goes on changing would pass by the checks.
        object.__setattr__(self, "headers", dict(self.headers))

    @classmethod
    def json(
        cls,
        *,
        topic: str,
        key: str | None,
        type: str,  # noqa: A002 - the field's name, as in the constructor
        data: Any,
        headers: Mapping[str, str] | None = None,
        id: UUID | None = None,  # noqa: A002 - the field's name, as in the constructor
    ) -> OutboxEvent:
        """Return an event whose payload is `data` as JSON in UTF-8, without blanks.

        Raises:
            InvalidEvent: `data` has no exact JSON (NaN, an infinity, a lone surrogate, too deep, an
                unknown type), or a field breaks its rule.
        """
        return cls.of(
            topic=topic,
            key=key,
            type=type,
            data=data,
            serializer=_json_bytes,
            content_type="application/json",
            headers=headers,
            id=id,
        )

    @classmethod
    def of(
        cls,
        *,
        topic: str,
        key: str | None,
        type: str,  # noqa: A002 - the field's name, as in the constructor
        data: Data,
        serializer: Callable[[Data], bytes],
        content_type: str,
        headers: Mapping[str, str] | None = None,
        id: UUID | None = None,  # noqa: A002 - the field's name, as in the constructor
    ) -> OutboxEvent:
        """Return an event whose payload is what `serializer` makes of `data`.

        Args:
            topic, key, type, headers, id: as in the constructor.
            data: handed to `serializer` as it is.
            serializer: any function that returns bytes, such as `orjson.dumps`. It is called here
                and once, so its error fails the business transaction, and never the relay.
            content_type: what the bytes are, such as `application/avro`.

        Raises:
            InvalidEvent: the serializer returned no bytes, or a field breaks its rule.
            Exception: the serializer's own, as it is.
        """
        return cls(
            topic=topic,
            key=key,
            type=type,
            payload=serializer(data),
            content_type=content_type,
            headers=headers if headers is not None else {},
            id=id if id is not None else _unchosen_id(),
        )

    @classmethod
    def tombstone(
        cls,
        *,
        topic: str,
        key: str,
        type: str,  # noqa: A002 - the field's name, as in the constructor
        headers: Mapping[str, str] | None = None,
    ) -> OutboxEvent:
        """Return an event without a payload: in a compacted topic it deletes what the key held.

        Raises:
            InvalidEvent: a field breaks its rule; without a key there is nothing to delete.
        """
        return cls(
            topic=topic,
            key=key,
            type=type,
            payload=None,
            headers=headers if headers is not None else {},
            is_tombstone=True,
        )

    def _check_payload(self) -> None:
        if not self.is_tombstone:
            check_payload(self.payload)
        elif self.payload is not None:
            raise InvalidEvent("payload", f"a tombstone has none, got {len(self.payload)} bytes")
        elif self.key is None:
            raise InvalidEvent("key", "a tombstone needs one: it deletes what the key held")


def _json_bytes(data: Any) -> bytes:
    try:
        return _JSON.encode(data).encode()
    except (TypeError, ValueError, RecursionError) as error:
        # The driver's message may quote the data; its type says enough.
        raise InvalidEvent("data", f"has no exact JSON ({type(error).__name__})") from None
