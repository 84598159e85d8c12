"""How long published events are kept, and which leaf of a ring may be emptied next.

Naive: `delete from event where published_at < ...`. Each row is then written a second time and left
dead, and vacuum has to come after it. Or a partition a day, detached or dropped when it is old:
that locks the parent, and every writer queues behind it.

Here a position chooses its leaf, round and round, and a leaf whose events are all published is
emptied by TRUNCATE as a whole. Nothing is created in advance; a leaf that writers come back to
before it was emptied is only bigger. What makes it safe stands in relay/sql/rotation.sql: the leaf
is locked first, without waiting, and only then it is seen whether anything in it is needed:

    needed:  txid >= xmax(C)  or  txid in xip(C)

C is what is *published* (`published`), never the S of a window that is still being sent: its events
would be gone before they were read. xip(C) counts as much as xmax(C): a transaction that was open
at C has a low id, and its events come with a later window. Looked at before the lock, a transaction
could commit in between. That test, against the C of that moment, decides; all else here only says
what is worth trying.

Kept for a time: the same test against an older C as well, of which it is known that all of it was
published so long ago. The log of windows cannot tell it, as under load it turns round within the
hour, so one C is set down now and then as a milestone. A milestone can make a leaf stay, never go.

Restored events have another cluster's ids, with which C cannot be compared (numbering.py). While
some of them are still to be published, everything is needed; afterwards none of those at or below
the floor is, and they go with the first milestone that is old enough.

Room comes before time. A ring has room for so many events; where more are written within the time
to keep than it holds, each leaf would have young rows whenever its turn comes, and none would ever
be emptied. So the leaf that writers come to next but one goes as soon as it is published, however
young, once they are past the middle of their own: at least 5.5 leaves of 8 are kept, 5.7 million
positions.

Never emptied is the leaf that is written to, nor the next, so that no writer meets the lock. Only
one that drew its position long before its insert may, for the moment that a TRUNCATE takes; what it
writes then stands in the emptied leaf and is read like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from relay.core.cursor import Cursor
from relay.core.numbering import NOTHING
from relay.core.snapshot import Snapshot

__all__ = [
    "EVENT_RING",
    "LOG_RING",
    "Due",
    "Emptied",
    "Milestone",
    "Ring",
    "Survey",
    "due",
    "mark_every_s",
    "next_pass_s",
    "published",
]

PASS_EVERY_S = 5.0
"""A leaf of 2^20 events lasts 10 s at 100,000 events/s, more than any writers have kept up."""

QUIET_PASS_S = 15.0
"""While nothing is written: a relay that sleeps shall ask but once a second, all told."""

PASS_AGAIN_S = 1.0
"""After a pass that emptied a leaf, or met one that was in use: there is more to do."""

MARKS_PER_RETENTION = 64
"""Events are kept longer than asked by at most this part of the time, besides what their leaf
takes to fill."""


@dataclass(frozen=True, slots=True)
class Ring:
    """Leaves that are chosen by a rising number: 2^bits numbers each, then the next."""

    bits: int
    slots: int

    def slot_of(self, number: int) -> int:
        """The leaf that `number` lies in."""
        return (number >> self.bits) % self.slots

    def is_half_through(self, number: int) -> bool:
        """Whether its leaf is filled to the middle, once `number` is."""
        return bool((number << 1 >> self.bits) & 1)


EVENT_RING = Ring(bits=20, slots=8)
"""Of events, by position; as the schema has it."""

LOG_RING = Ring(bits=16, slots=4)
"""Of the log of windows, by number."""


class Emptied(Enum):
    """What came of an attempt to empty a leaf."""

    EMPTIED = "nothing in it was needed"
    NEEDED = "it holds what is not published, or was published too recently"
    IN_USE = "a transaction that goes on has it locked"


@dataclass(frozen=True, slots=True)
class Milestone:
    """All that `snapshot`, that of window `number`, sees was published when this was set down.

    So was all that has a position up to `floor`, whatever its ids.
    """

    number: int
    snapshot: Snapshot
    floor: int = 0


@dataclass(frozen=True, slots=True)
class Survey:
    """How the rings stand.

    position     the newest that was given out
    event_bytes  of each leaf of events; 0: it is empty
    number       the newest window
    log_bytes    the same of the log of windows
    old          the newest milestone that is older than the time to keep
    """

    position: int
    event_bytes: tuple[int, ...]
    number: int
    log_bytes: tuple[int, ...]
    old: Milestone | None


@dataclass(frozen=True, slots=True)
class Due:
    """A leaf to try. `for_room`: it goes as soon as it is published, however young."""

    slot: int
    for_room: bool


def published(cursor: Cursor) -> Milestone:
    """C: what is published, all of it, when `cursor` is the newest entry of the log."""
    number = cursor.number if cursor.closed else cursor.number - 1
    if not cursor.numbering.is_present:
        return Milestone(number, NOTHING)
    c = cursor.until if cursor.closed else cursor.since
    return Milestone(number, c, cursor.numbering.above)


def due(
    ring: Ring, newest: int, leaf_bytes: Sequence[int], bytes_max: int | None = None
) -> tuple[Due, ...]:
    """The leaves worth trying, oldest first.

    Args:
        ring: which ring.
        newest: the newest number that was given out.
        leaf_bytes: the size of each leaf, 0 when it is empty.
        bytes_max: above this size of the ring, leaves go as soon as they are published.
    """
    current = ring.slot_of(newest)
    too_large = bytes_max is not None and sum(leaf_bytes) > bytes_max
    found = []
    for ahead in range(2, ring.slots):
        slot = (current + ahead) % ring.slots
        next_but_one = ahead == 2 and ring.is_half_through(newest)
        if leaf_bytes[slot]:
            found.append(Due(slot, for_room=too_large or next_but_one))
    return tuple(found)


def mark_every_s(retention_s: float) -> float:
    """How often a milestone is set down."""
    return retention_s / MARKS_PER_RETENTION


def next_pass_s(outcomes: Sequence[Emptied], *, quiet: bool = False) -> float:
    """Seconds until the next pass over the rings, after one with these `outcomes`.

    `quiet`: nothing was written since the pass before it, and nobody is in the way.
    """
    if {Emptied.EMPTIED, Emptied.IN_USE} & set(outcomes):
        return PASS_AGAIN_S
    return QUIET_PASS_S if quiet else PASS_EVERY_S
