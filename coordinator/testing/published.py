"""assert_published: what a test wants of the events, and a failure that shows what was there."""

from __future__ import annotations

import difflib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from coordinator.event import OutboxEvent

__all__ = ["ANY", "PublishedEvents"]

# What a failure lists before it only counts: a screen of it.
_EVENTS_SHOWN_MAX = 20
_DIFFS_SHOWN_MAX = 3


class _Any(Enum):
    """None is a key like any other, and data too, so "whatever" needs a value of its own."""

    ANY = "any"


ANY: Final = _Any.ANY


class PublishedEvents(ABC):
    """Events that were committed, with the question that tests ask of them."""

    @property
    @abstractmethod
    def events(self) -> Sequence[OutboxEvent]:
        """The events so far, in order."""

    def assert_published(
        self,
        *,
        type: str | None = None,  # noqa: A002 - the event's field
        key: str | _Any | None = ANY,
        topic: str | None = None,
        data: Any = ANY,
        count: int | None = None,
    ) -> list[OutboxEvent]:
        """Return the events that are as wanted.

        Args:
            type, topic: of the event; None for any.
            key: of the event; None is no key.
            data: what the payload is as JSON: 1, 1.0 and True differ, the order of names does not
                count.
            count: how many there must be, 0 for none; None for at least one.

        Raises:
            AssertionError: it shows types, keys and topics of those that are there, and payloads
                only where `data` is wanted: as the lines that differ.
        """
        __tracebackhide__ = True
        wanted = _Wanted(type=type, key=key, topic=topic, data=data)
        events = list(self.events)
        found = [event for event in events if wanted.is_like(event)]
        if len(found) == count or (count is None and found):
            return found
        raise AssertionError("\n".join(_failure(wanted, count, events, found, self._remarks())))

    def _remarks(self) -> Sequence[str]:
        """Sentences on events that do not count."""
        return ()


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    type: str | None
    key: str | _Any | None
    topic: str | None
    data: Any

    def is_like(self, event: OutboxEvent) -> bool:
        return self.has_address_of(event) and (self.data is ANY or not self.diff(event))

    def has_address_of(self, event: OutboxEvent) -> bool:
        return (
            self.type in (None, event.type)
            and self.topic in (None, event.topic)
            and (self.key is ANY or self.key == event.key)
        )

    def diff(self, event: OutboxEvent) -> list[str]:
        """The lines that differ, of the wanted data and of the event's."""
        wanted, there = _lines(self.data), _lines_of(event)
        return [] if wanted == there else list(difflib.ndiff(wanted, there))

    def __str__(self) -> str:
        parts = [
            f"{name}={value!r}"
            for name, value in (("type", self.type), ("topic", self.topic))
            if value is not None
        ]
        parts += [] if self.key is ANY else [f"key={self.key!r}"]
        parts += [] if self.data is ANY else ["this data"]
        return ", ".join(parts) or "any kind"


def _lines(data: Any) -> list[str]:
    return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False).splitlines()


def _lines_of(event: OutboxEvent) -> list[str]:
    if event.payload is None:
        return ["(a tombstone)"]
    try:
        return _lines(json.loads(event.payload))
    except ValueError:
        return [f"(no JSON: {len(event.payload)} bytes of {event.content_type})"]


def _failure(
    wanted: _Wanted,
    count: int | None,
    events: Sequence[OutboxEvent],
    found: Sequence[OutboxEvent],
    remarks: Sequence[str],
) -> Iterator[str]:
    number = "at least one event" if count is None else f"{count} event{'' if count == 1 else 's'}"
    yield f"wanted {number} of {wanted}; found {len(found)} among the {len(events)} published:"
    for event in events[:_EVENTS_SHOWN_MAX]:
        yield f"  {event.type}  key={event.key!r}  topic={event.topic}"
    if len(events) > _EVENTS_SHOWN_MAX:
        yield f"  ... and {len(events) - _EVENTS_SHOWN_MAX} more"
    yield from remarks
    if wanted.data is not ANY:
        near = [one for one in events if wanted.has_address_of(one) and wanted.diff(one)]
        for event in near[:_DIFFS_SHOWN_MAX]:
            yield f"data of {event.type}, key={event.key!r} (- wanted, + there):"
            yield from (f"  {line}" for line in wanted.diff(event) if not line.startswith("?"))
