"""What the relay can be told: one input answers each effect."""

from __future__ import annotations

from dataclasses import dataclass

from relay.core.cursor import Cursor
from relay.core.reached import Reached
from relay.core.rows import Row, Rows, event_id, position, topic
from relay.core.window import Page

__all__ = [
    "Acked",
    "Asleep",
    "Disturbed",
    "Doubtful",
    "Elected",
    "Hold",
    "Holds",
    "Input",
    "Loaded",
    "Lost",
    "NothingAhead",
    "Opened",
    "PageRead",
    "Recovered",
    "Refused",
    "Reported",
    "Rested",
    "Risen",
    "Row",
    "Rows",
    "Saved",
    "Woken",
    "event_id",
    "position",
    "topic",
]

Hold = tuple[str, str | None]
"""A topic and a key whose events wait; without a key, all of the topic."""

Holds = frozenset[Hold]


@dataclass(frozen=True, slots=True)
class Input:
    """Any of the below."""


@dataclass(frozen=True, slots=True)
class Elected(Input):
    """The lease was granted."""


@dataclass(frozen=True, slots=True)
class Lost(Input):
    """The lease, the database, or the race for the next entry of the log is lost."""


@dataclass(frozen=True, slots=True)
class Loaded(Input):
    """The newest entry of the log, and what is left to read of its window if that was left open.

    `held` is all that waits (parking.py).
    """

    cursor: Cursor
    pages: tuple[Page, ...]
    held: Holds = frozenset()


@dataclass(frozen=True, slots=True)
class Recovered(Input):
    """No earlier producer can publish any more; `reached` is the last that the broker committed.

    None: it has nothing to say, or is not asked, as events go out at least once.
    """

    reached: Reached | None = None


@dataclass(frozen=True, slots=True)
class Opened(Input):
    """The next window is stored, synchronously: what it holds is durable and may be sent.

    `held` is all that waits in this window; None when that has not changed. `rows` are those of
    its only page where they came with it, for who reads the pages: they save a round trip, and mean
    nothing to the machine.
    """

    cursor: Cursor
    pages: tuple[Page, ...]
    held: Holds | None = None
    rows: Rows | None = None


@dataclass(frozen=True, slots=True)
class NothingAhead(Input):
    """No event has become visible; nothing was stored."""


@dataclass(frozen=True, slots=True)
class PageRead(Input):
    """The events of the page, by position. None is not the end of the window."""

    rows: Rows


@dataclass(frozen=True, slots=True)
class Acked(Input):
    """The broker acknowledged every event that was handed over."""


@dataclass(frozen=True, slots=True)
class Doubtful(Input):
    """At least one event may or may not have arrived.

    The producer was thrown away, nothing of it arrives any more.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Refused(Input):
    """The broker will never take one of the events as things stand.

    `topic` is refused whole, or the event at `position` alone, of which nothing was handed over;
    without either, it is not known which of the events is to blame. `passing`: it is waited for,
    as what is missing is expected to come (the topic, say).
    """

    reason: str
    topic: str | None = None
    position: int | None = None
    passing: bool = False


@dataclass(frozen=True, slots=True)
class Saved(Input):
    """The entry is stored."""

    cursor: Cursor


@dataclass(frozen=True, slots=True)
class Reported(Input):
    """`relay status` shows the refused event."""


@dataclass(frozen=True, slots=True)
class Rested(Input):
    """The rest is over, or was cut short by a request to stop."""


@dataclass(frozen=True, slots=True)
class Asleep(Input):
    """Every writer who begins from now on wakes this relay; those before have ended."""


@dataclass(frozen=True, slots=True)
class Disturbed(Input):
    """A transaction that wrote events while nobody slept is not over, so none can sleep."""


@dataclass(frozen=True, slots=True)
class Woken(Input):
    """A writer notified, the time is over, or the relay is asked to stop. Writers notify still."""


@dataclass(frozen=True, slots=True)
class Risen(Input):
    """Writers do not notify any more."""
