"""One process's membership in the fleet: what the electors of its outboxes know of each other.

Each outbox has an elector with a thread of its own, and nothing that blocks may be shared between
them: a database that hangs must not cost the others their leases. What is shared is one immutable
value (core/fleet.py), replaced under a lock that is held for no request and no wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from relay.core.fleet import Claim, Held, Member

__all__ = ["Membership", "Seat"]


class Membership:
    """The process's `Member`, safe between threads."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        """`name` is this process's own among all."""
        self._member = Member(name)
        self._clock = clock
        self._lock = threading.Lock()

    def seat(self, outbox: str) -> Seat:
        """What the elector of `outbox` has to do with it."""
        return Seat(self, outbox)

    @property
    def leads(self) -> int:
        """How many outboxes this process leads."""
        return len(self._member.leads)

    def change(self, change: Callable[[Member, float], Member]) -> Member:
        """Replace the member by what `change` makes of it now; the new one."""
        with self._lock:
            self._member = change(self._member, self._clock())
            return self._member


class Seat:
    """One outbox's part in the membership."""

    def __init__(self, membership: Membership, outbox: str) -> None:
        self._membership = membership
        self._outbox = outbox

    @property
    def leads(self) -> int:
        """How many outboxes the process leads in all."""
        return self._membership.leads

    def claims(self) -> bool:
        """Whether the next request for the lease is to claim it."""
        member = self._membership.change(lambda one, now_s: one.claiming(self._outbox, now_s))
        return member.claimed == self._outbox

    def granted(self) -> None:
        """This process leads the outbox from here on."""
        self._membership.change(lambda one, _: one.leading(self._outbox))

    def ended(self) -> None:
        """It does not any more."""
        self._membership.change(lambda one, _: one.ended(self._outbox))

    def heard(self, held: Held) -> None:
        """Another leads it."""
        self._membership.change(lambda one, now_s: one.heard(self._outbox, held, now_s))

    def gives_to(self, claim: Claim) -> bool:
        """Whether to hand it to the claimant; if so, it counts as led by that one at once.

        At once, so that two outboxes' electors cannot both give from the same count.
        """
        given = False

        def change(one: Member, _: float) -> Member:
            nonlocal given
            given = self._outbox in one.leads and one.gives_to(claim)
            return one.ended(self._outbox) if given else one

        self._membership.change(change)
        return given
