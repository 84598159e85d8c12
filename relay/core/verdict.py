"""What the checker found: counts, and the violations themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Verdict", "Violation"]


class Violation(NamedTuple):
    """One broken invariant, with all that is needed to look at it.

    `offsets` are those of the records in question, older first; for a lost event the last offset
    that was read of its partition (-1: it was empty).
    """

    invariant: str
    sentence: str
    event_id: str
    key: str | None
    partition: int | None
    offsets: tuple[int, ...]


@dataclass(frozen=True)
class Verdict:
    """What was found.

    `committed` and `published_unique` count events, `duplicates` records beyond the first of an
    event, `replayed` records that were sent again on purpose; all others count faults and are 0 in
    a good history.
    """

    committed: int
    published_unique: int
    duplicates: int
    lost: int
    phantoms: int
    out_of_order: int
    stale_after_new: int
    wrong_bytes: int
    wrong_partition: int
    split: int
    replayed: int
    replayed_early: int
    violations: tuple[Violation, ...] = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether every invariant held."""
        return not self.violations

    def report(self) -> str:
        """Give the counts and a line for each violation kept, for an assertion's message."""
        return "\n".join([str(self), *(f"{v.invariant}: {v.sentence}" for v in self.violations)])
