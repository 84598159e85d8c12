"""Where the relay is: the newest entry of the log of windows, as a value.

The log in the database is the only authority (`outbox.window`). It is never carried across a lost
connection: after a crash of the database, transaction ids that were given out but not flushed are
given out again, to other transactions, and a snapshot remembered here would take their events for
seen.

    number, step    the key of the newest row; whoever writes the next row wins it
    since (C)       everything that it sees is published
    until (S)       the snapshot of window `number`; stored together with C and last_position,
                    as none of the three means anything without the others
    last_position   every event of the window up to here is published
    closed          the whole window is, so the next C is this S
    window_id       names the window and no other, not even one that a failed-over database opens
                    under the same number; given by the store
    numbering       whose transaction ids C and S speak of; but for restored databases always the
                    same
    reach           no event above this position is in this window, or was in an earlier one
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from relay.core.numbering import EVERYTHING, FIRST, NOTHING, Numbering
from relay.core.snapshot import Snapshot
from relay.core.window import Page, Window

__all__ = ["Cursor"]


@dataclass(frozen=True, slots=True)
class Cursor:
    """The newest row of the log of windows, together with the C that its window starts from."""

    number: int
    step: int
    since: Snapshot
    until: Snapshot
    last_position: int = 0
    closed: bool = False
    numbering: Numbering = FIRST
    reach: int = 0
    # The database's clock is in it, so what a test expects cannot name it.
    window_id: str = field(default="", compare=False)

    @property
    def window(self) -> Window:
        """The window that this entry is about."""
        return Window(self.since, self.until, self.numbering.above, self.numbering.upto)

    @property
    def releases(self) -> bool:
        """Whether its window holds parked events that are released, and nothing fresh."""
        return self.number > 0 and self.window.releases

    def opened(self, until: Snapshot) -> Cursor:
        """The entry that opens the next window, and thereby says that this one is published."""
        return self._opened(self.until, until, self.numbering)

    def holding(self, pages: Sequence[Page]) -> Cursor:
        """The entry, once it is known where the events of its window lie."""
        return replace(self, reach=max(self.reach, *(page.last_position for page in pages)))

    def ahead(self, now: Snapshot) -> Iterator[Cursor]:
        """The windows that may come next: the first of them that is not empty does.

        One, up to `now`, unless the database was restored: then the rest of each numbering that is
        over comes before it. The empty ones between are passed by, so all have the same number.
        """
        last, numbering = self.until, self.numbering
        while not numbering.is_present:
            if last != EVERYTHING:
                yield self._opened(last, EVERYTHING, numbering)
            last, numbering = NOTHING, numbering.following()
        yield self._opened(last, now, numbering)

    def advanced(self, position: int) -> Cursor:
        """The entry that says how far inside the window everything is published."""
        return replace(self, step=self.step + 1, last_position=position)

    def finished(self) -> Cursor:
        """The entry that closes the window when no other follows at once."""
        return replace(self, step=self.step + 1, closed=True)

    def _opened(self, since: Snapshot, until: Snapshot, numbering: Numbering) -> Cursor:
        return Cursor(self.number + 1, 0, since, until, numbering=numbering, reach=self.reach)
