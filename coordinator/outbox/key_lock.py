"""The lock that puts the events of a key in commit order."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from coordinator.event import OutboxEvent

__all__ = ["lock_keys"]


_KEY = func.unnest(bindparam("keys", type_=ARRAY(Text))).column_valued("key")
_LOCK = select(func.pg_advisory_xact_lock(func.hashtextextended(_KEY, 0)))


def lock_keys(session: Session, events: Iterable[OutboxEvent]) -> None:
    """Hold the keys of `events` to the commit, so that events of a key are in commit order.

    The same lock that the completion of a run takes, and that a writer of other events of such a
    key is to take: `pg_advisory_xact_lock(hashtextextended(key, 0))`.
    """
    # Sorted: two transactions with the same keys in another order would wait for each other.
    keys = sorted({event.key for event in events if event.key is not None})
    if keys:
        session.execute(_LOCK, {"keys": keys})
