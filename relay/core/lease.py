"""The lease: who leads, and for how long its holder may believe it.

The row in the database decides who leads (`outbox.lease`, by the database's clock). The holder's
own clock only decides when to *stop* believing it, and it must do so before another relay can be
granted the lease:

    trusted until  =  monotonic time when the request was SENT  +  TTL  -  margin

From the sending, not from the reply: the database counted its TTL from some moment after the
request left here, so a renewal that succeeds after four slow seconds must not lengthen the trust by
those four seconds. Monotonic, because the wall clock of this machine may jump. The margin covers
what the two clocks drift apart within one TTL.

Each grant to a new owner raises the term by one; every entry in the log of windows names the term
it was written under, so what a former holder still writes is refused by the database, however long
it slept.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "LEASE_TTL_S",
    "RENEW_EVERY_S",
    "REQUEST_TIMEOUT_S",
    "STANDBY_EVERY_S",
    "TRUST_MARGIN_S",
    "Lease",
]

LEASE_TTL_S = 6.0
"""A killed leader is replaced after this time, at most STANDBY_EVERY_S later."""

REQUEST_TIMEOUT_S = 2.5
"""How long one request for the lease may take before it counts as failed."""

RENEW_EVERY_S = 2.0

TRUST_MARGIN_S = 1.0
"""Clocks that drift by 1/6 of real time would break it; quartz drifts by 1/10,000."""

STANDBY_EVERY_S = 0.5
"""A lease that was released is taken over within this time."""

if LEASE_TTL_S <= RENEW_EVERY_S + REQUEST_TIMEOUT_S + TRUST_MARGIN_S:
    raise AssertionError("a single slow renewal would cost a healthy leader its lease")


@dataclass(frozen=True, slots=True)
class Lease:
    """A term that was granted, and how long it may be trusted without another word from the
    database.
    """

    term: int
    trusted_until_s: float

    @classmethod
    def granted(cls, term: int, asked_at_s: float) -> Lease:
        """The lease as of a request that was sent at `asked_at_s` (monotonic seconds) and
        succeeded.
        """
        return cls(term, asked_at_s + LEASE_TTL_S - TRUST_MARGIN_S)

    def renewed(self, asked_at_s: float) -> Lease:
        """The same term after a renewal that was sent at `asked_at_s` and succeeded, however long
        it took.
        """
        return Lease.granted(self.term, asked_at_s)

    def trusted(self, now_s: float) -> bool:
        """Whether the holder may still act on it."""
        return now_s < self.trusted_until_s
