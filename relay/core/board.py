"""What one look at the database finds for those who watch an outbox, as a value.

Any relay can take it, a standby as well as the leader, so that every page shows the same. It holds
no key of an event: keys can be personal data, and whoever needs one asks `relay parked show`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from relay.core.status import Status

__all__ = ["BEHIND_COUNTED_MAX", "NAME_BYTES_MAX", "WAITING_MAX", "Board", "Connected", "Waiting"]

WAITING_MAX = 50
"""So many keys, topics and events that wait are shown, the longest first."""

BEHIND_COUNTED_MAX = 1_000
"""Events that wait behind one of them are counted up to here."""

NAME_BYTES_MAX = 51
"""The database cuts a session's name at 63 bytes; 12 of them say what the session is for."""


@dataclass(frozen=True, slots=True)
class Connected:
    """A relay with a session in the database; `since_seconds` is None where that is hidden."""

    name: str
    since_seconds: float | None

    def is_named(self, owner: str) -> bool:
        """Whether this is the relay of that name, which may have been cut."""
        return self.name == owner[:NAME_BYTES_MAX]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A key, a topic, or an event without a key that waits.

    scope      one key of the topic (which one is not told), the topic, or one event without a key
    event_id   that it waits for; None when an operator paused it
    events     that wait in all, the first included, counted up to BEHIND_COUNTED_MAX
    released   an operator has let it go on, and the leader has not yet taken that up
    """

    topic: str
    scope: Literal["key", "topic", "event"]
    event_id: str | None
    reason: str
    since_seconds: float
    events: int
    paused_by: str | None
    released: bool

    @property
    def events_is_at_least(self) -> bool:
        """Whether counting stopped at BEHIND_COUNTED_MAX."""
        return self.events >= BEHIND_COUNTED_MAX


@dataclass(frozen=True, slots=True)
class Board:
    """The status, which relays are there, what waits for a person, and how far the cursor came.

    `passed` is a position: everything up to it is published or parked. It rises by one for each
    event, and for each that was rolled back.

    `horizon_age`: how many transactions have begun since the oldest that wrote anything, to
    whatever table, and is still open. What they write is visible later than what it wrote.
    """

    status: Status
    passed: int
    relays: tuple[Connected, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    horizon_age: int = 0

    @property
    def standbys(self) -> tuple[Connected, ...]:
        """The relays that do not lead."""
        leader = self.status.leader
        return tuple(one for one in self.relays if leader is None or not one.is_named(leader))
