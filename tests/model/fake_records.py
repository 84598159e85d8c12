"""What the fake database's log says, record by record."""

from __future__ import annotations

from dataclasses import dataclass

from relay.core.cursor import Cursor
from relay.core.fleet import CLAIM_GOOD_S, Claim
from relay.core.retention import Milestone
from tests.model.fake_parking import Desk

__all__ = [
    "Appended",
    "Dump",
    "Ended",
    "Event",
    "Jumped",
    "LeaseRow",
    "Leased",
    "Led",
    "Marked",
    "Noted",
    "Operated",
    "Prepared",
    "Record",
    "Restored",
    "RolledBackTo",
    "Truncated",
    "Wrote",
]


@dataclass(frozen=True, slots=True)
class Event:
    """A row of the outbox.

    `subxid`: the savepoint that it was written in. `xmin`: the transaction of this cluster that
    wrote the row, once that is another, as a restore has brought it.
    """

    position: int
    txid: int
    event_id: str
    key: str | None
    subxid: int | None = None
    xmin: int | None = None


@dataclass(frozen=True, slots=True)
class Led:
    """Where a relay has led; `xmin` as above."""

    home: str
    system: int
    numbering: int = 0
    floor: int = 0
    xmin: int | None = None


@dataclass(frozen=True, slots=True)
class LeaseRow:
    owner: str | None = None
    term: int = 0
    expires_at_s: float = float("-inf")
    blocked: tuple[str, str] | None = None
    leads: int = 0
    claim: Claim | None = None
    claimed_at_s: float = float("-inf")

    def claimable(self, owner: str, leads: int, now_s: float) -> bool:
        """Whether no claim stands that is as good as this one."""
        claim = self.claim
        if claim is None or claim.owner == owner or claim.leads > leads:
            return True
        return self.claimed_at_s < now_s - CLAIM_GOOD_S


@dataclass(frozen=True, slots=True)
class Wrote:
    """A transaction's write, of an event or of anything else; its first one gives it its id."""

    xid: int
    subxid: int | None = None
    event: Event | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    xid: int
    committed: bool


@dataclass(frozen=True, slots=True)
class RolledBackTo:
    xid: int
    subxid: int


@dataclass(frozen=True, slots=True)
class Prepared:
    xid: int


@dataclass(frozen=True, slots=True)
class Appended:
    """An entry of the log of windows, and what its transaction made of the parked events."""

    entry: Cursor
    desk: Desk | None = None


@dataclass(frozen=True, slots=True)
class Operated:
    """What an operator made of them."""

    desk: Desk


@dataclass(frozen=True, slots=True)
class Leased:
    row: LeaseRow


@dataclass(frozen=True, slots=True)
class Truncated:
    """Leaves were emptied of the events at these positions, and the log of these windows."""

    positions: frozenset[int] = frozenset()
    numbers: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Marked:
    """A milestone, and when it was set down."""

    milestone: Milestone
    at_s: float


@dataclass(frozen=True, slots=True)
class Jumped:
    """The next position to give out."""

    position: int


@dataclass(frozen=True, slots=True)
class Dump:
    """What pg_dump writes: rows as its snapshot sees them, and where the sequence stands."""

    events: tuple[Event, ...]
    gone: frozenset[int]
    entries: tuple[Cursor, ...]
    led: tuple[Led, ...]
    milestones: tuple[Marked, ...]
    lease: LeaseRow
    desk: Desk
    next_position: int


@dataclass(frozen=True, slots=True)
class Restored:
    """A dump, read in by one transaction of a cluster that has counted up to it."""

    dump: Dump
    xid: int


@dataclass(frozen=True, slots=True)
class Noted:
    """That a relay leads; with a new numbering the milestones of another are forgotten."""

    led: tuple[Led, ...]


Record = (
    Wrote
    | Ended
    | RolledBackTo
    | Prepared
    | Appended
    | Operated
    | Leased
    | Truncated
    | Marked
    | Jumped
    | Restored
    | Noted
)
