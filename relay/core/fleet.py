"""Several outboxes among several relay processes: who asks for which, and who gives one away.

A process serves every outbox that it is configured with, and stands by where another leads. Free
outboxes go to whoever asks first, so after a start or a loss one process may lead them all. What
evens that out is a claim:

    a standby that leads n in all sees that the leader of an outbox leads n + 2 or more
        -> it claims that outbox, and no other at the same time
    a leader of k outboxes finds a claim of one that leads n <= k - 2
        -> it stops this one outbox cleanly and hands its lease to the claimant

Naive: a leader of many gives to any standby that has few. Ten leaders of two then see one newcomer
of none at the same moment, and hand it ten. Here both counts are known where they are used: the
leader's is its own, and the claimant's cannot grow behind the claim's back, as it has a single one
out. So each handover makes the sum of the squares of all counts smaller by 2 at least. It cannot go
on for ever or to and fro, and where it ends no standby is two behind its leader: among processes
that serve the same outboxes all counts differ by one at most.

What can grow a count behind a claim is a free outbox, taken because its leader was lost. Publishing
comes before evenness; the claims that follow make up for it. A leader of one outbox never gives it
away: no count is below zero.

Members need not know of each other. All that they tell stands in the lease's row of each outbox:
how many its leader leads, and one claim.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from types import MappingProxyType

from relay.core.lease import REQUEST_TIMEOUT_S, STANDBY_EVERY_S

__all__ = [
    "CLAIM_GOOD_S",
    "CLAIM_KEPT_S",
    "HEIR_TAKES_WITHIN_S",
    "Claim",
    "Held",
    "Member",
    "Renewed",
]

CLAIM_GOOD_S = 2.0
"""A claim that was not repeated for so long is not granted any more (by the database's clock).

It is repeated with each request of a standby, and found with each renewal of the leader.
"""

CLAIM_KEPT_S = 3.5
"""For so long after a claim its maker makes no other: until then the first may still be granted."""

HEIR_TAKES_WITHIN_S = 3.0
"""An outbox that was handed over is kept for its heir so long, and then is free for all."""

NEVER_S = float("-inf")

if CLAIM_KEPT_S < CLAIM_GOOD_S + STANDBY_EVERY_S:
    raise AssertionError("a claim could be granted while its maker has another")
if HEIR_TAKES_WITHIN_S < REQUEST_TIMEOUT_S + STANDBY_EVERY_S:
    raise AssertionError("one slow request would cost the heir what was kept for it")


@dataclass(frozen=True, slots=True)
class Claim:
    """A standby's wish to be handed an outbox, and how many it leads in all."""

    owner: str
    leads: int


@dataclass(frozen=True, slots=True)
class Held:
    """Another holds the lease, and leads so many outboxes in all; 0: it did not say yet."""

    leads: int = 0


@dataclass(frozen=True, slots=True)
class Renewed:
    """The lease was renewed; with the claim that was found, if it is a fresh one."""

    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """What one process leads, what it knows of the others, and what it has claimed.

    `others`: of each outbox that another leads how many that one leads, and when it was heard.
    """

    name: str
    leads: frozenset[str] = frozenset()
    others: Mapping[str, tuple[int, float]] = field(default_factory=lambda: MappingProxyType({}))
    claimed: str | None = None
    claimed_at_s: float = NEVER_S

    def leading(self, outbox: str) -> Member:
        """After this member was granted the lease of `outbox`."""
        member = replace(self._without(outbox), leads=self.leads | {outbox})
        if self.claimed == outbox:
            return replace(member, claimed=None, claimed_at_s=NEVER_S)
        return member

    def ended(self, outbox: str) -> Member:
        """After its term was over, or given away."""
        return replace(self, leads=self.leads - {outbox})

    def heard(self, outbox: str, held: Held, now_s: float) -> Member:
        """After another was found to lead `outbox`."""
        others = {**self.others, outbox: (held.leads, now_s)}
        return replace(self, others=MappingProxyType(others))

    def claiming(self, outbox: str, now_s: float) -> Member:
        """Before a request for the lease of `outbox`: with it claimed, if it is to be."""
        if self._claimable(outbox, now_s):
            return replace(self, claimed=outbox, claimed_at_s=now_s)
        return replace(self, claimed=None) if self.claimed == outbox else self

    def gives_to(self, claim: Claim) -> bool:
        """Whether an outbox that this member leads is to be handed to the claimant."""
        return claim.leads + 2 <= len(self.leads)

    def _claimable(self, outbox: str, now_s: float) -> bool:
        wanted = [one for one in self.others if self._two_ahead(one, now_s)]
        if now_s < self.claimed_at_s + CLAIM_KEPT_S:
            return outbox == self.claimed and outbox in wanted
        return outbox == max(wanted, key=self._preference, default=None)

    def _two_ahead(self, outbox: str, now_s: float) -> bool:
        """An outbox of which nothing was heard for a while is no aim: its database is away."""
        leads, heard_at_s = self.others[outbox]
        return leads >= len(self.leads) + 2 and now_s < heard_at_s + CLAIM_KEPT_S

    def _preference(self, outbox: str) -> tuple[int, bytes]:
        """From the one with the most; of its outboxes each claimant prefers another."""
        return self.others[outbox][0], blake2b(f"{self.name} {outbox}".encode()).digest()

    def _without(self, outbox: str) -> Member:
        others = {one: heard for one, heard in self.others.items() if one != outbox}
        return replace(self, others=MappingProxyType(others))
