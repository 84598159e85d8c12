"""Whether a relay is alive and ready, judged from what its loops report and the time.

Alive: each loop gets on with something, be it an attempt to reach what is away. Neither a database
nor a broker that is away makes it dead, as no restart would heal that; only a loop that stands
still does.

Ready: each outbox is delivered, or another relay does it, or there is nothing to deliver. Naive:
ready while the database and the broker answer. Then a broker that refuses an event, or a page that
is in doubt for ever, looks fine, and a broker that restarts turns every relay red at once. So what
counts is the last moment at which all was well, and it may lie STALLED_AFTER_S back:

    of the leader       something was published or set aside, or nothing waited (`progress_or_idle`)
    of a standby        the database said that another relay holds the lease

A leader cannot tell an absent database from one in which nothing waits, and a standby cannot tell
whether anybody leads: both count as not well, since events may wait.
"""

from __future__ import annotations

from dataclasses import dataclass

from relay.core import inputs as told

__all__ = [
    "SILENT_MAX_S",
    "STALLED_AFTER_S",
    "Facts",
    "progress_or_idle",
    "why_not_alive",
    "why_not_ready",
]

SILENT_MAX_S = 60.0
"""A loop that has not got on for so long hangs. A name server that does not answer takes 30 s to
say so, a black hole 15 s; the systemd unit's WatchdogSec is the same."""

STALLED_AFTER_S = 30.0
"""So long all may be other than well. A takeover takes 7 s, a broker's restart some 20 s."""

if STALLED_AFTER_S >= SILENT_MAX_S:
    raise AssertionError("a relay would be restarted before it was said to be unready")


@dataclass(frozen=True, slots=True)
class Facts:
    """What one outbox's loop has reported; times are monotonic, in seconds.

    does         what it does, in words; empty while there is no loop: its outbox failed, or ended
    stands       it has come so far as to stand by or to lead
    beaten_at_s  when it last got on
    well_at_s    when all was last well, as above
    trouble      what went wrong since then, in words; empty if nothing that it knows of
    """

    does: str
    stands: bool
    beaten_at_s: float
    well_at_s: float
    trouble: str = ""


def progress_or_idle(outcome: told.Input) -> bool:
    """Whether a step of the leader shows that it delivers, or that it has nothing to deliver.

    An entry is saved only past events that are published or set aside. A window that is opened is
    no progress: a leader could open, fail and begin again for ever.
    """
    return isinstance(outcome, told.Acked | told.Saved | told.NothingAhead)


def why_not_alive(facts: Facts, now_s: float) -> str | None:
    """What is to be said of a loop that hangs; None if it does not."""
    silent_s = now_s - facts.beaten_at_s
    if not facts.does or silent_s <= SILENT_MAX_S:
        return None
    return f"the loop has stood still for {silent_s:.0f} s; it last said: {facts.does}"


def why_not_ready(facts: Facts, now_s: float) -> str | None:
    """What is to be said of an outbox that is not delivered; None if it is, or by another."""
    if not facts.does:
        return "not served: it failed or has ended, the log says why"
    if not facts.stands:
        return f"not ready yet: {facts.trouble or facts.does}"
    stalled_s = now_s - facts.well_at_s
    if stalled_s > STALLED_AFTER_S:
        why = facts.trouble or facts.does
        return f"no delivery for {stalled_s:.0f} s, and events wait or may wait: {why}"
    return why_not_alive(facts, now_s)
