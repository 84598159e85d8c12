"""A window: the events that became visible between two snapshots. The heart of the relay.

The naive reader keeps the last id it saw and asks for `id > last`. Ids are given out before the
commit, so a lower id can become visible after a higher one, and is then never read. Waiting until
every older transaction has ended loses nothing, but one long transaction anywhere in the server
stalls every event.

Here the cursor is a snapshot. With C the snapshot up to which all is published and S a newer one,
the window is

    { transactions that S sees and C does not }

Each committed transaction is in exactly one window of a chain C0, S0 = C1, S1 = C2, ...: a
transaction that was still open at C is not seen by C, so it comes with the window in which it ends.
Nothing waits for it, nothing is read twice. The method is PgQ's (Skype, 2007).

That set falls into ranges of transaction ids, and they are what the index on txid is asked for:

    fresh: ids from xmax(C) up to xmax(S), with the ids still in progress at S cut out
    late:  ids that were in progress at C and are no longer at S, one by one

Cutting the ids in progress out of the range matters: a filter (`txid <> all(xip)`) would give the
same rows, and would read every row that a long open transaction has written at each look.

Inside the window the order is `position`, never txid: a transaction may get its txid, wait for the
row lock of a key, and write that key after one with a higher txid. For the same reason a window is
never cut by txid; it is cut into pages by position.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from relay.core.numbering import POSITION_MAX
from relay.core.snapshot import Snapshot

__all__ = ["CHUNK_BITS", "PAGE_BYTES_MAX", "Chunk", "Page", "Window", "only_page", "pages_of"]

CHUNK_BITS = 13
"""A page covers at most 2^13 = 8,192 positions. A crash repeats at most one page.

Larger ones gained nothing.
"""

PAGE_BYTES_MAX = 32 * 1024 * 1024
"""The most that one page may hold in memory; two exist at a time.

An event has at most about 1 MB.
"""


@dataclass(frozen=True, slots=True)
class Window:
    """What is visible in `until` (S) and was not in `since` (C).

    Of that, what has a position above `above` and up to `upto`: positions tell which cluster's ids
    an event has (numbering.py), and the snapshots speak of those only.
    """

    since: Snapshot
    until: Snapshot
    above: int = 0
    upto: int = POSITION_MAX

    @property
    def releases(self) -> bool:
        """Whether nothing lies between its snapshots: what it carries was parked (parking.py)."""
        return self.since == self.until

    def holds(self, txid: int) -> bool:
        """Whether the events of `txid` belong to this window."""
        return self.until.sees(txid) and not self.since.sees(txid)

    def ranges(self) -> list[tuple[int, int]]:
        """The same set as half-open ranges of transaction ids, in rising order."""
        late = sorted(xid for xid in self.since.xip if self.until.sees(xid))
        return [(xid, xid + 1) for xid in late] + self._fresh()

    def _fresh(self) -> list[tuple[int, int]]:
        start, ranges = self.since.xmax, []
        for xid in sorted(xid for xid in self.until.xip if xid >= self.since.xmax):
            ranges.append((start, xid))
            start = xid + 1
        ranges.append((start, self.until.xmax))
        return [(low, high) for low, high in ranges if low < high]


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a window has within one aligned block of positions.

    Where, how many, and how large the largest is.
    """

    first_position: int
    last_position: int
    events: int
    bytes_max: int


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of positions to read at once, at most `limit` events of it.

    It lies in one leaf of the ring.
    """

    first_position: int
    last_position: int
    limit: int

    @property
    def may_be_cut(self) -> bool:
        """Whether the limit can stop it short of its last position."""
        return self.limit <= self.last_position - self.first_position

    def rest_after(self, position: int, events_read: int) -> Page | None:
        """What is left of the page when the limit cut it short at `position`.

        None when nothing is.
        """
        if events_read < self.limit or position >= self.last_position:
            return None
        return Page(position + 1, self.last_position, self.limit)


def pages_of(chunks: Iterable[Chunk]) -> tuple[Page, ...]:
    """One page a chunk, with a limit that keeps even the largest events within PAGE_BYTES_MAX.

    A chunk without events does not occur, so the gap between a late transaction's old positions and
    the fresh ones is jumped rather than walked.
    """
    return tuple(
        Page(
            chunk.first_position,
            chunk.last_position,
            max(1, min(1 << CHUNK_BITS, PAGE_BYTES_MAX // max(1, chunk.bytes_max))),
        )
        for chunk in chunks
    )


def only_page(pages: Sequence[Page]) -> Page | None:
    """The page that is all of a window, to be read in the transaction that opens it.

    None of a larger window: what reads its pages ahead does better there.
    """
    return pages[0] if len(pages) == 1 else None
