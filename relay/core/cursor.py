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
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from relay.core.snapshot import Snapshot
from relay.core.window import Window

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
    # The database's clock is in it, so what a test expects cannot name it.
    window_id: str = field(default="", compare=False)

    @property
    def window(self) -> Window:
        """The window that this entry is about."""
        return Window(self.since, self.until)

    @property
    def releases(self) -> bool:
        """Whether its window holds parked events that are released, and nothing fresh."""
        return self.number > 0 and self.window.releases

    def opened(self, until: Snapshot) -> Cursor:
        """The entry that opens the next window, and thereby says that this one is published."""
        return Cursor(self.number + 1, 0, self.until, until)

    def advanced(self, position: int) -> Cursor:
        """The entry that says how far inside the window everything is published."""
        return replace(self, step=self.step + 1, last_position=position)

    def finished(self) -> Cursor:
        """The entry that closes the window when no other follows at once."""
        return replace(self, step=self.step + 1, closed=True)
