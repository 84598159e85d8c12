"""Parking: what the broker will never take is set aside, and the rest of its key behind it.

Naive: leave the refused event out and go on. The next event of its key is then published before it,
and when somebody has raised the limit and the event goes out at last, the log reads 2, 3, 1, which
no consumer can repair. Or stop at it: then one bad event stops every key.

Here a refusal begins a *hold* of (topic, key), and whatever is held is diverted: not sent, but
copied into `outbox.parked` by the very entry of the log of windows that passes it. So each event
behind the cursor is acknowledged by the broker or stands in that table, whenever the relay dies. An
event without a key has no followers and begins no hold; a topic that is refused whole is held
whole, for each of its events would be refused. What an operator pauses is a hold as well. A topic
that is missing is held whole too, and released as by an operator once it is there, for which the
leader looks every few seconds (daemon/housekeeping.py): so one name with a typing error, or one
topic that was deleted, does not stop the others.

Release keeps the order by taking its turn in the log of windows. It is a window of its own, n + 1,
with S = C, so that it holds nothing fresh; the transaction that stores it also fixes which parked
events it carries, the first RELEASED_MAX of the released keys, and ends their holds if these are
all. Nothing else is read until it is done, so nothing fresh of these keys can come before it, and
all of it has places (n + 1, position) that rise in its partitions. While more is left the holds
stay, but for the window itself, and what is fresh of these keys waits behind it; between two such
windows the other keys get theirs. An event that is refused again goes back to its place in the
table, with a new hold, and those of its key that are still to come are diverted behind it. A crash
at any step finds the window in the log, and what is left of it in the table.

What is authoritative: the holds in the database, read with the cursor. The set in memory is what
they were at the last entry; an operator's change is taken over by the leader, in the transaction
that stores a window for it, and never behind the leader's back. Hence a former leader can change
none, and a pause or a release is in effect from one place in the log on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from relay.core.inputs import Hold, Holds, Refused, Row, Rows, position, topic

__all__ = ["BEHIND", "RELEASED_MAX", "Parked", "blameless", "divert", "passed", "set_aside"]

RELEASED_MAX = 8_192
"""How many events a window releases: a page, so that other keys wait no longer than for a page."""

BEHIND = "waits behind an earlier event"


class Parked(NamedTuple):
    """An event to be set aside: the hold that it begins, if any, and why.

    `passing`: the hold is for a topic that is missing, and is released once that is there.
    """

    row: Row
    reason: str = BEHIND
    hold: Hold | None = None
    passing: bool = False


def divert(rows: Rows, held: Holds) -> tuple[Rows, list[Parked]]:
    """Those that may be sent, and those that a hold keeps back; each in the order given."""
    if not held:
        return rows, []
    free: list[Row] = []
    kept: list[Parked] = []
    for row in rows:
        if (row[2], row[3]) in held or (row[2], None) in held:
            kept.append(Parked(row))
        else:
            free.append(row)
    return free, kept


def passed(aside: Sequence[Parked], rows: Rows) -> tuple[tuple[Parked, ...], tuple[Parked, ...]]:
    """Which of `aside` lie before the first of `rows`, which is not acknowledged yet, and which
    behind it."""
    if not rows:
        return tuple(aside), ()
    first = position(rows[0])
    before = tuple(one for one in aside if position(one.row) < first)
    behind = tuple(one for one in aside if position(one.row) > first)
    return before, behind


def set_aside(rows: Rows, held: Holds, refused: Refused) -> tuple[Rows, Holds, list[Parked]]:
    """What may still be sent of `rows`, all that is held now, and what is to be parked."""
    at = _blamed(rows, refused)
    blamed = rows[at]
    if refused.topic is not None:
        hold: Hold | None = (refused.topic, None)
    else:
        hold = None if blamed[3] is None else (blamed[2], blamed[3])
    reason = f"topic {blamed[2]}: {refused.reason}"
    held = held if hold is None else held | {hold}
    free, behind = divert(rows[at + 1 :], held)
    return [*rows[:at], *free], held, [Parked(blamed, reason, hold, refused.passing), *behind]


def blameless(sent: Rows, refused_topic: str | None) -> int:
    """How many of the first events are not to blame, or may be cleared by being sent alone."""
    for index, row in enumerate(sent):
        if topic(row) == refused_topic:
            return index
    return len(sent) // 2


def _blamed(rows: Rows, refused: Refused) -> int:
    """Its index: what is narrowed down is the first of what was sent."""
    if refused.position is None:
        return 0
    return next(at for at, row in enumerate(rows) if position(row) == refused.position)
