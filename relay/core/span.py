"""A span: the events of many windows, read at once and put in the order of their publication.

An event's window stands nowhere in its row: window n holds what its snapshot sees and that of n - 1
does not. Naive: read window after window. Under load there are two hundred a second with a handful
of events each, so an hour of them is 720,000 pairs of queries.

Here a run of windows is read like one large window, and each event's own is found by bisection: a
transaction that a snapshot of the chain sees is seen by every later one. The chain is the log of
windows as far back as it reaches, and before that the milestones. Between two of these the events
of many windows lie in order of position, under the number of the later one. For one key that is the
order of publication as well, if its writers lock it: they draw their positions in commit order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from relay.core.inputs import Row
from relay.core.snapshot import Snapshot
from relay.core.window import Window

__all__ = ["ORIGIN", "WINDOWS_AT_ONCE_MAX", "Cut", "Place", "Placed", "Span", "chosen", "spans"]

WINDOWS_AT_ONCE_MAX = 128
"""More would be halved again: under load they hold more events than are read at once."""


class Place(NamedTuple):
    """Where an event stands among all that were published."""

    window: int
    position: int

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read `WINDOW.POSITION`, with or without leading zeros; ValueError if it is none."""
        window, position = text.split(".")
        if not (window.isdecimal() and position.isdecimal()):
            raise ValueError(f"not a place: {text!r}")
        return cls(int(window), int(position))

    def __str__(self) -> str:
        return f"{self.window}.{self.position}"


@dataclass(frozen=True, slots=True)
class Cut:
    """All that `snapshot` sees was published by window `number`.

    at_s   when the window was stored, in seconds since 1970 by the database's clock
    epoch  what its places belong to
    """

    number: int
    snapshot: Snapshot
    at_s: float
    epoch: str


ORIGIN = Cut(-1, Snapshot(1, 1, frozenset()), float("-inf"), "")
"""Before every window: it sees nothing."""


class Placed(NamedTuple):
    """A published event, and the window and epoch that it was published in."""

    window: int
    epoch: str
    row: Row

    @property
    def place(self) -> Place:
        """Its place."""
        return Place(self.window, self.row[0])


@dataclass(frozen=True, slots=True)
class Span:
    """What the last of `cuts` sees and the first does not; at least two, in rising number."""

    cuts: tuple[Cut, ...]

    @property
    def window(self) -> Window:
        """All of its events, as if one window held them."""
        return Window(self.cuts[0].snapshot, self.cuts[-1].snapshot)

    @property
    def is_one_window(self) -> bool:
        """Whether it cannot be halved."""
        return len(self.cuts) == 2

    def halves(self) -> tuple[Span, Span]:
        """The older and the newer windows of it."""
        middle = len(self.cuts) // 2
        return Span(self.cuts[: middle + 1]), Span(self.cuts[middle:])

    def cut_of(self, txid: int) -> Cut:
        """The first cut that sees the transaction: its events were published with that."""
        return self.cuts[bisect_left(self.cuts, True, lo=1, key=lambda c: c.snapshot.sees(txid))]


def chosen(chain: Iterable[Cut], since_s: float, until_s: float) -> Iterator[tuple[Cut, Cut]]:
    """The neighbours in `chain` between which events were published from `since_s` to `until_s`.

    A single window is published from when it is stored. Where many lie between two cuts, all of
    them are taken if any can be within: more events rather than fewer.
    """
    for before, cut in pairwise(chain):
        first_s = cut.at_s if cut.number == before.number + 1 else before.at_s
        if cut.at_s >= since_s and first_s < until_s:
            yield before, cut


def spans(neighbours: Iterable[tuple[Cut, Cut]]) -> Iterator[Span]:
    """Neighbours that follow each other, joined to spans of a size to be read at once."""
    run: list[Cut] = []
    for before, cut in neighbours:
        if run and (run[-1] != before or len(run) > WINDOWS_AT_ONCE_MAX):
            yield Span(tuple(run))
            run = []
        run = [*(run or [before]), cut]
    if run:
        yield Span(tuple(run))
