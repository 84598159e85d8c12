"""`pg_snapshot` as a value: which transactions had ended when it was taken.

The text form is PostgreSQL's own, `xmin:xmax:xip,xip,...` (documentation, "Transaction ID and
Snapshot Information Functions"). Every id below xmin had ended; none at or above xmax had; between
them, those listed in xip had not. Ids are top-level transaction ids of 64 bits, so they never wrap.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Snapshot"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A set of ended transactions."""

    xmin: int
    xmax: int
    xip: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """Read PostgreSQL's text form; raises ValueError when it is not one."""
        try:
            xmin, xmax, listed = text.split(":")
            xip = frozenset(int(xid) for xid in listed.split(",") if xid)
            snapshot = cls(int(xmin), int(xmax), xip)
        except ValueError as problem:
            raise ValueError(f"not a pg_snapshot: {text!r}") from problem
        snapshot._check()
        return snapshot

    def __str__(self) -> str:
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, sorted(self.xip)))}"

    def sees(self, txid: int) -> bool:
        """Whether transaction `txid` had ended.

        A rolled back one counts as ended, and left no row to read.
        """
        return txid < self.xmin or (txid < self.xmax and txid not in self.xip)

    def _check(self) -> None:
        if not 0 < self.xmin <= self.xmax:
            raise ValueError(f"not a pg_snapshot: xmin {self.xmin}, xmax {self.xmax}")
        if any(not self.xmin <= xid < self.xmax for xid in self.xip):
            raise ValueError(
                f"not a pg_snapshot: an id in progress lies outside {self.xmin}..{self.xmax}"
            )
