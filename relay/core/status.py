"""The relay's status as one value, which every view prints."""

from __future__ import annotations

from dataclasses import asdict, dataclass

__all__ = ["PENDING_COUNTED_MAX", "Blocked", "Status"]

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
class Status:
    """What is waiting, who leads, and what is in the way.

    `parked` events are set aside; `held` keys and topics wait, since one of them is or an operator
    paused them.
    """

    pending: int
    oldest_pending_seconds: float
    leader: str | None
    term: int
    parked: int
    held: int
    window: int
    blocked: Blocked | None

    @property
    def pending_is_at_least(self) -> bool:
        """Whether counting stopped at PENDING_COUNTED_MAX."""
        return self.pending >= PENDING_COUNTED_MAX

    def to_dict(self) -> dict[str, object]:
        """For JSON: the fields, and `pending_is_at_least`."""
        return {**asdict(self), "pending_is_at_least": self.pending_is_at_least}
