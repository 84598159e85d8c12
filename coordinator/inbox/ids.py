"""The memory for events of any producer: the id of each one is kept for a time."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.inbox.memory import Record
from coordinator.inbox.once import first_seen

__all__ = ["Ids"]


class Ids:
    """Remembers each event by `Record.event_id`, in `inbox.seen`, as `once` does.

    An event is taken twice only if it comes again after `inbox.generation.keep_for` (7 days by
    default), or if its producer gave the repeat another id, or none.
    """

    def take(self, session: Session, consumer: str, records: Sequence[Record]) -> list[bool]:
        """Note the records' ids, in one statement; see `Memory`."""
        ids = [record.event_id if record.is_for(consumer) else None for record in records]
        new = first_seen(session, [one for one in ids if one is not None], consumer=consumer)
        answers = []
        for event_id in ids:
            answers.append(event_id in new)
            new.discard(event_id)  # of two that are the same event the first is new
        return answers

    def tidy(self, session: Session) -> None:
        """Forget the oldest ids if it is time; leaves quietly where that would keep takers."""
        session.execute(select(func.inbox.expire()))
