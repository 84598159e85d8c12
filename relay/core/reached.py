"""How far inside a window the broker has everything: what a Kafka transaction carries of itself.

Naive: store the cursor once the transaction is committed. The relay that dies between the two
commits has published events that its cursor does not cover, and the next leader publishes them
again. So the transaction itself says how far it brings the window, and whoever loads the cursor
asks the broker for the last one that was committed.

Which of the two is believed? The window was stored in the database before its first event was
sent, so what the broker says counts if it speaks of the window that the cursor stands in, and of no
other: after a failover that lost entries the database opens windows anew, under numbers that the
broker has seen, for *other* events. Believed by its number, an old word would hide new events.
Hence a window is known by its `window_id`, which no other window ever has.

    same window     go on behind the position
    another, none   the database's cursor is the truth

And the same window is believed only if the database still has all of it that it had when the word
was said (`stored_to`). What a failover took back may be the entry that parked an event: it stands
below the position, is not in Kafka, and was named by no word, as it was stored.

Positions rise within a window and mean nothing across windows: a late event of the next one may
stand below the last of this one.

What is set aside (parking.py) stands below the position and is not in Kafka; it is stored in the
database only after the commit. So a word names what it leaves out, or the next leader would take it
for published. And a word never takes back an earlier one: a leader that begins with what was left
out sends events from below the position, and what it says next covers both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from relay.core.rows import Rows, position

__all__ = ["Reached", "unsent", "word"]


@dataclass(frozen=True, slots=True)
class Reached:
    """Everything of the window up to `position` is committed in Kafka, but for `left_out` and what
    the database had parked up to `stored_to`."""

    window_id: str
    position: int
    left_out: frozenset[int] = frozenset()
    stored_to: int = 0

    def holds_for(self, window_id: str, last_position: int) -> bool:
        """Whether it counts for a database that stands there."""
        return self.window_id == window_id and self.stored_to <= last_position

    def covers(self, position: int) -> bool:
        """Whether the broker has the event that stands there in this window."""
        return position <= self.position and position not in self.left_out


def unsent(rows: Rows, reached: Reached | None) -> Rows:
    """Those that the broker does not have, in the order given."""
    if reached is None or not rows or position(rows[0]) > reached.position:
        return rows
    return [row for row in rows if not reached.covers(position(row))]


def word(
    window_id: str, sent: Rows, aside: Iterable[int], stored_to: int, before: Reached | None
) -> Reached:
    """What a transaction that publishes `sent` says.

    `aside`: what is set aside and not stored; `stored_to`: up to where the database has the window;
    `before`: the last word about this window.
    """
    end = position(sent[-1])
    left_out = set(aside)
    if before is not None:
        end = max(end, before.position)
        left_out |= before.left_out
    if left_out:
        left_out -= {position(row) for row in sent}
    left = frozenset(one for one in left_out if stored_to < one < end)
    return Reached(window_id, end, left, stored_to)
