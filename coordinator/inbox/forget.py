"""A consumer forgets what it took, so that a replay takes effect again.

A consumer that lost its tables and kept its inbox would drop every replayed event as a repeat. One
whose whole database was put back to an earlier day has forgotten by that already, as the inbox went
back with it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, CursorResult, Result, bindparam, delete, text
from sqlalchemy.orm import Session

from coordinator.errors import BadInput
from coordinator.inbox.once import inbox_seen
from coordinator.validation import check_name

__all__ = ["Forgotten", "forget"]


_IDS = delete(inbox_seen).where(inbox_seen.c.consumer == bindparam("consumer"))
# The ids of its last events go with a mark.
_MARKS = text("delete from inbox.mark where consumer = :consumer")


class Forgotten(NamedTuple):
    """What a consumer knew: `ids` of events, and `marks`, one a partition."""

    ids: int
    marks: int


def forget(session: Session | Connection, *, consumer: str) -> Forgotten:
    """Forget every event that `consumer` took, of either memory; the caller commits.

    Stop the consumer first: what it has in hand, and what comes again by itself after a crash or a
    rebalance, is taken a second time. Parked records stay: release or discard them first, as they
    would be handled beside their replay.

    Args:
        session: of the owner of the schema, as no role of least privilege may do this.
        consumer: the consumer's name, 1 to 255 characters.

    Raises:
        BadInput: `consumer` breaks its rule.
    """
    check_name("consumer", consumer, BadInput)
    given = {"consumer": consumer}
    ids, marks = (session.execute(one, given) for one in (_IDS, _MARKS))
    return Forgotten(_rows(ids), _rows(marks))


def _rows(result: Result[Any]) -> int:
    return result.rowcount if isinstance(result, CursorResult) else 0
