"""A record as a consumer reads it, and what a memory of records is.

The relay delivers at least once, and a group's rebalance or a crash brings records again, so a
consumer remembers what it took, in the transaction of its own writes. `ids` remembers each event by
its id and takes events of any producer; `marks` remembers how far it is in the events of our relay.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple, Protocol
from uuid import UUID, uuid5

from sqlalchemy.orm import Session

_NAMESPACE = UUID("6f757462-6f78-5e1a-9c5d-696e626f7800")
_UUID_CHARS = 36

REPLAY = "ce_replay"
EVERYBODY = "*"


class Record(NamedTuple):
    """One record of Kafka; a named tuple, as a loop makes tens of thousands a second.

    Attributes:
        headers: in the order of the record; a name may occur more than once.
        timestamp_ms: since 1970, the producer's or the broker's, as the topic is configured.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    timestamp_ms: int

    def header(self, name: str) -> bytes | None:
        """Return the value of the first header `name`; None if there is none."""
        for found, value in self.headers:
            if found == name:
                return value
        return None

    @property
    def event_id(self) -> UUID:
        """The identity of the event, the same however often it is sent.

        That is `ce_id`, if it is a UUID. CloudEvents allows any text that is unique for its source:
        then the identity is derived from both. A record without `ce_id` is one of Debezium's event
        router, or of our relay in that form, if its header `id` is a UUID: then that is the
        identity. (Another text may be anything: a customer's number, say, which many records
        share.) Else it is known by its place in the topic: reading it again is noticed, its
        producer's sending it again is not.
        """
        text = self._text("ce_id")
        if (found := _uuid(text or self._text("id"))) is not None:
            return found
        if text:
            return uuid5(_NAMESPACE, json.dumps([self.source, text]))
        return uuid5(_NAMESPACE, json.dumps([self.topic, self.partition, self.offset]))

    @property
    def type(self) -> str | None:
        """The event's type (`ce_type`, or Debezium's `eventType`)."""
        return self._text("ce_type") or self._text("eventType")

    @property
    def source(self) -> str | None:
        """Which outbox or producer it is of (`ce_source`)."""
        return self._text("ce_source")

    @property
    def epoch(self) -> str | None:
        """Within which places can be compared (`ce_outboxepoch`)."""
        return self._text("ce_outboxepoch")

    @property
    def place(self) -> str | None:
        """Window and position in fixed width, so that text compares as they do (`ce_sequence`)."""
        return self._text("ce_sequence")

    @property
    def replayed_for(self) -> str | None:
        """Whom a replay (`ce_replay`) is for: a consumer's name, or `*`; None if it is none."""
        return self._text(REPLAY)

    def is_for(self, consumer: str) -> bool:
        """Tell whether `consumer` is to look at it: a replay may be for another one only."""
        return self.replayed_for in (None, EVERYBODY, consumer)

    def _text(self, header: str) -> str | None:
        value = self.header(header)
        return None if value is None else value.decode("utf-8", "replace")


def _uuid(text: str | None) -> UUID | None:
    if text is None or len(text) != _UUID_CHARS:
        return None
    try:
        return UUID(text)
    except ValueError:
        return None


class Memory(Protocol):
    """What was taken before.

    The loop calls `take` first in each transaction, and rolls back what it noted together with what
    the handler did.
    """

    def take(self, session: Session, consumer: str, records: Sequence[Record]) -> list[bool]:
        """Note `records` in the session's transaction, and tell for each whether it is new.

        A replay for another consumer is not, and leaves no note. Of two that are the same event
        the first is new. Of two transactions with the same event the
        second waits for the end of the first; where its isolation level hides the first one's
        commit, it fails with a serialisation failure (the loop tries it again) and never answers
        "new".

        Args:
            session: of the batch; never committed here.
            consumer: who takes them; consumers of other names have memories of their own.
            records: those of one partition in rising offset; at least one.

        Raises:
            BadInput: this memory cannot know a record; the loop finds which, and parks it.
        """
        ...

    def tidy(self, session: Session) -> None:
        """Forget what is out of date, in a transaction of its own; called about once an hour."""
        ...
