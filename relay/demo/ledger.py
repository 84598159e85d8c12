"""What the runners meant to write and how each transaction ended: one half of the proof.

It is kept on the writers' side of the database. A proof that asked the outbox what should be in
Kafka could not see an event that was lost on its way into the outbox.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from threading import Lock, current_thread
from typing import Final

from sqlalchemy.orm import Session

from coordinator.event import OutboxEvent
from coordinator.outbox.writer import Outbox
from relay.core.history import Meant, Outcome, payload_hash

SOURCE: Final = "/outbox-demo"


@dataclass(frozen=True, slots=True)
class Tally:
    """How far the runners are; `incidents` and `events` are those of committed runs."""

    committed: int = 0
    incidents: int = 0
    events: int = 0
    rolled_back: int = 0


class Ledger:
    """Safe between threads. As a publisher it notes the events that pass through to the outbox."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._outbox = Outbox()
        self._written: dict[str, Sequence[OutboxEvent]] = {}
        self._meant: list[Meant] = []
        self._tally = Tally()

    def add_all(self, session: Session, events: Iterable[OutboxEvent]) -> None:
        """Write the events of one key in the transaction of `session`, whose end is still open."""
        kept = tuple(events)
        self._outbox.add_all(session, kept)
        # A later attempt of the same transaction takes the place of the earlier.
        self._written[str(kept[0].key)] = kept

    def committed(self, key: str, *, incident: bool) -> None:
        """Note that the run which wrote the events of `key` is committed."""
        with self._lock:
            events = self._note(key, Outcome.COMMITTED)
            tally = self._tally
            self._tally = replace(
                tally,
                committed=tally.committed + 1,
                incidents=tally.incidents + incident,
                events=tally.events + events,
            )

    def rolled_back(self, key: str) -> None:
        """Note that the transaction was rolled back: nothing that it wrote may ever be seen."""
        with self._lock:
            self._note(key, Outcome.ROLLED_BACK)
            self._tally = replace(self._tally, rolled_back=self._tally.rolled_back + 1)

    def tally(self) -> Tally:
        """How far the runners are now."""
        return self._tally

    def meant(self) -> list[Meant]:
        """All that was meant, in commit order per key; complete when the runners are done."""
        with self._lock:
            return list(self._meant)

    def _note(self, key: str, outcome: Outcome) -> int:
        events = self._written.pop(key)
        writer = current_thread().name
        self._meant += [_meant(event, n, writer, outcome) for n, event in enumerate(events)]
        return len(events)


def _meant(event: OutboxEvent, n: int, writer: str, outcome: Outcome) -> Meant:
    return Meant(
        writer=writer,
        key=event.key,
        n=n,
        event_id=str(event.id),
        topic=event.topic,
        payload_hash=payload_hash(event.payload),
        headers={
            "ce_source": SOURCE,
            "ce_type": event.type,
            "content-type": event.content_type,
            **event.headers,
        },
        outcome=outcome,
    )
