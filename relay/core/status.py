"""The relay's status as one value, which every view prints."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from relay.core.blockers import Blockers

__all__ = ["PENDING_COUNTED_MAX", "Blocked", "Retained", "Status"]

PENDING_COUNTED_MAX = 1_000_000
"""Pending events are counted up to here.

Beyond it, `pending_is_at_least` says that there are more.
"""


@dataclass(frozen=True, slots=True)
class Blocked:
    """The event that the broker refuses; everything behind it waits."""

    event_id: str
    reason: str
    since_seconds: float


@dataclass(frozen=True, slots=True)
class Retained:
    """What the ring of events holds, published or not.

    ring_bytes           with its indexes, and what emptied leaves have not given back
    leaves_in_use        of eight
    oldest_kept_seconds  since the event at the lowest position was written; None when it is empty
    """

    ring_bytes: int = 0
    leaves_in_use: int = 0
    oldest_kept_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """What is waiting, who leads, and what is in the way.

    `parked` events are set aside; `held` keys and topics wait, since one of them is or an operator
    paused them. `delivery` and `envelope` are the leader's; None where nobody leads, or its session
    does not tell (behind a pooler, or a relay of an earlier release).
    """

    pending: int
    oldest_pending_seconds: float
    leader: str | None
    term: int
    parked: int
    held: int
    window: int
    blocked: Blocked | None
    retained: Retained = field(default_factory=Retained)
    blockers: Blockers = field(default_factory=Blockers)
    delivery: str | None = None
    envelope: str | None = None

    @property
    def pending_is_at_least(self) -> bool:
        """Whether counting stopped at PENDING_COUNTED_MAX."""
        return self.pending >= PENDING_COUNTED_MAX

    def to_dict(self) -> dict[str, object]:
        """For JSON: the fields, and `pending_is_at_least`."""
        return {**asdict(self), "pending_is_at_least": self.pending_is_at_least}
