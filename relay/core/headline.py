"""The one sentence that is read first: is anything wrong, and what.

In the order of what a person can do about it: without an answer from the database nothing else is
known; without a leader or a broker nothing moves; what waits for a person comes before what waits
by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from relay.core.board import Board
from relay.core.status import Status

__all__ = ["LATE_S", "Headline", "headline"]

LATE_S = 10.0
"""An event that waits for longer is told of. Without a fault they take milliseconds."""

Tone = Literal["good", "note", "bad"]


@dataclass(frozen=True, slots=True)
class Headline:
    """A sentence, and how it is to sound."""

    tone: Tone
    text: str


def headline(
    board: Board | None, problem: str | None, *, stalled: bool, broker_away: bool = False
) -> Headline:
    """Of the newest look, of whether the last one failed (`problem`), and whether no broker answers
    the relay that says this."""
    if problem is not None:
        return Headline("bad", "The database does not answer. Events are safe in it, and wait.")
    if board is None:
        return Headline("note", "The first look at the database is under way.")
    trouble = _trouble(board.status, stalled=stalled, broker_away=broker_away)
    return trouble or _calm(board.status)


def _trouble(status: Status, *, stalled: bool, broker_away: bool) -> Headline | None:
    waits = f"{status.pending:,}{' or more' if status.pending_is_at_least else ''}"
    waits += " event waits" if status.pending == 1 else " events wait"
    if status.leader is None:
        return Headline("bad", f"No relay leads; {waits}." if status.pending else "No relay leads.")
    if broker_away and status.pending:
        return Headline("bad", f"No broker answers; {waits}, safe in the database.")
    if status.blocked is not None:
        return Headline("bad", f"The broker refuses an event and all behind it; {waits}.")
    if stalled:
        return Headline("bad", f"Delivery stands still; {waits}.")
    if status.pending and status.oldest_pending_seconds > LATE_S:
        return Headline("note", f"Delivery is behind; {waits}.")
    return None


def _calm(status: Status) -> Headline:
    if status.held or status.parked:
        return Headline("note", "Delivering. What is set aside below waits for a decision.")
    if any(one.delays_events for one in status.blockers.named):
        return Headline("note", "Delivering, but for the events of a transaction left open.")
    if status.pending:
        return Headline("good", "Delivering.")
    return Headline("good", "All is delivered; nothing waits.")
