"""Whether an outbox delivers: judged by its status."""

from __future__ import annotations

from collections.abc import Iterator

from relay.core.checkup import Finding, fail, ok, warn
from relay.core.headline import LATE_S
from relay.core.status import Status

__all__ = ["outbox_checks"]

STANDS_STILL_S = 60.0
LEAVES = 8


def outbox_checks(status: Status) -> Iterator[Finding]:
    """Who leads, what waits and for how long, what is set aside, who is in the way, how full."""
    yield _leader(status)
    yield _lag(status)
    yield _parked(status)
    yield _transactions(status)
    yield _ring(status)


def _leader(status: Status) -> Finding:
    if status.leader is not None:
        manner = f", {status.delivery}, {status.envelope}" if status.delivery else ""
        return ok("leader", f"{status.leader}, term {status.term}{manner}")
    advice = "start `relay run`; one that runs says in its log why it does not lead"
    if status.pending:
        return fail("leader", "no relay leads, and events wait", advice)
    return warn("leader", "no relay leads; nothing waits", advice)


def _lag(status: Status) -> Finding:
    many = f"{status.pending:,}{' or more' if status.pending_is_at_least else ''}"
    found = f"{many} events wait, the oldest for {status.oldest_pending_seconds:,.1f} s"
    if status.blocked is not None:
        return fail("lag", f"{found}: the broker refuses the first", status.blocked.reason)
    if status.pending and status.oldest_pending_seconds > STANDS_STILL_S:
        advice = "`relay status --watch`: does pending fall? Else see the checks below, and the log"
        return fail("lag", found, advice)
    if status.pending and status.oldest_pending_seconds > LATE_S:
        return warn("lag", found, "`relay status --watch`: does pending fall?")
    return ok("lag", found if status.pending else "nothing waits")


def _parked(status: Status) -> Finding:
    if status.parked or status.held:
        found = f"{status.parked:,} events are set aside, {status.held:,} keys and topics wait"
        return warn("parked", found, "`relay parked list` tells why, and what can be done")
    return ok("parked", "nothing is set aside or paused")


def _transactions(status: Status) -> Finding:
    named = status.blockers.named
    if named:
        oldest = named[0]
        who = f"pid {oldest.pid}" if oldest.gid is None else f"prepared {oldest.gid!r}"
        effect = "delays its events" if oldest.delays_events else "keeps leaves from being emptied"
        found = f"{who} ({oldest.application_name}) is open for {oldest.age_seconds:,.0f} s: "
        advice = "end it, if it never will by itself; `relay status` names them all"
        return warn("transactions", f"{found}it {effect}; {len(named)} such in all", advice)
    if status.blockers.hidden:
        found = f"{status.blockers.hidden} sessions use the outbox, since when is hidden"
        return warn("transactions", found, "grant pg_read_all_stats to this role")
    return ok("transactions", "none that is open for long")


def _ring(status: Status) -> Finding:
    retained = status.retained
    found = f"{retained.leaves_in_use} of {LEAVES} leaves, {retained.ring_bytes / 1e6:,.1f} MB"
    if retained.leaves_in_use >= LEAVES:
        advice = "set RELAY_RETENTION lower, or end what pins a leaf: the ring grows meanwhile"
        return warn("ring", f"{found}: it is full", advice)
    return ok("ring", found)
