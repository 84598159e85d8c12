"""Whose transaction ids these are: the numberings that an outbox has lived through.

A dump carries the log of windows and the events with the transaction ids of the cluster that wrote
them. Restored, both stand in a cluster that counts for itself: its ids may be lower, higher, or the
same for other transactions. Naive: go on from the cursor. Its snapshot then takes new events for
seen, and they are never published. Or start from nothing: all that is retained goes out again, and
restored events whose ids this cluster has yet to reach turn up in the windows of days to come.

Positions are what both clusters agree on: the sequence is in the dump too, and goes on behind all
restored events. And each entry of the log says how far the windows have reached: no event above its
`reach` was in any of them. So everything splits at two floors, and in each part it is known what
remains to be published, exactly:

    up to reach       what the cursor does not see, by the ids and snapshots of the dump: the rest
                      of the window that was open, and one more window until EVERYTHING, as a dump
                      has committed events only
    up to the second  all of it: nothing there was ever published. It ends at the last event whose
    floor             id this cluster has yet to reach
    above             as ever, with ids of this cluster, from NOTHING on. Restored events that are
                      left have an id that has ended here as well, so the first window has them

Each part is a numbering. The middle one may mix ids of several clusters, if the outbox was
restored, written to, dumped and restored again while no relay ran; no snapshot is asked about it.
Events of one key have rising positions in the order of their commits, so none comes too early.

pg_upgrade counts on, and may not be run while a prepared transaction exists; the same way is right,
and as exact. A promoted standby or a copy of the files in the same cluster goes on as it is: there
a prepared transaction may hold a low position, and commit later.
"""

from __future__ import annotations

from dataclasses import dataclass

from relay.core.snapshot import Snapshot

__all__ = ["EVERYTHING", "FIRST", "NOTHING", "POSITION_MAX", "Numbering"]

POSITION_MAX = (1 << 63) - 1

NOTHING = Snapshot(1, 1, frozenset())
"""Sees no transaction: the C of the first window in a numbering."""

EVERYTHING = Snapshot(POSITION_MAX, POSITION_MAX, frozenset())
"""Sees every transaction: the S of the last window in a numbering that is over."""


@dataclass(frozen=True, slots=True)
class Numbering:
    """The `index`-th numbering; its events have positions above `above`, up to `upto`.

    `later` has the floor of each numbering behind it, in order; none: it is the present one.
    """

    index: int = 0
    above: int = 0
    later: tuple[int, ...] = ()

    @classmethod
    def of(cls, index: int, floors: tuple[int, ...]) -> Numbering:
        """The `index`-th where the first, second, ... restore had these `floors`."""
        return cls(index, floors[index - 1] if index else 0, floors[index:])

    @property
    def is_present(self) -> bool:
        """Whether this cluster counts in it, so that there is no end to it."""
        return not self.later

    @property
    def upto(self) -> int:
        """The highest position that an event of it can have."""
        return self.later[0] if self.later else POSITION_MAX

    def following(self) -> Numbering:
        """The numbering behind it; there is one unless it is the present one."""
        return Numbering(self.index + 1, self.later[0], self.later[1:])


FIRST = Numbering()
"""The numbering of an outbox that was never restored."""
