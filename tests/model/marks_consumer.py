"""A consumer with the memory `marks`, as far as its memory goes: transactions, crashes, batches.

Its memory is the production code; only the rows are kept here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from coordinator.inbox.places import Event, Note, Taking, Track
from relay.core.checker import Seen
from tests.model.fake_broker import FakeBroker

__all__ = ["Crash", "MarksConsumer", "event_of"]

Crash = Literal["none", "before the commit", "before the offset is stored"]


def event_of(record: Seen) -> Event:
    """As `marks` reads it. The model's clock stands still, so no event is younger than another."""
    headers = record.headers
    released = "ce_outboxreleased" in headers
    epoch, place = headers["ce_outboxepoch"], headers["ce_sequence"]
    return Event(epoch, place, "time", record.event_id, released)


class MarksConsumer:
    """Reads every partition of the broker.

    Attributes:
        taken: ids in the order in which the handler got them, in transactions that were committed.
    """

    def __init__(self, broker: FakeBroker, taking: type[Taking], recent: int) -> None:
        self.taken: list[str] = []
        self._broker = broker
        self._taking = taking
        self._recent = recent
        self._tracks: defaultdict[int, Track] = defaultdict(Track)
        self._notes: defaultdict[int, list[tuple[int, Note]]] = defaultdict(list)
        self._offsets: defaultdict[int, int] = defaultdict(int)

    def consume(
        self, partition: int, records_max: int | None = None, crash: Crash = "none"
    ) -> None:
        """Take the next batch of a partition; everything there is, if no size is given."""
        begin = self._offsets[partition]
        log = [one for one in self._broker.records if one.partition == partition]
        batch = log[begin:][:records_max]
        kept = self._notes[partition]
        taking = self._taking(
            self._tracks[partition], lambda: [note for _, note in kept], self._recent
        )
        new = [record.event_id for record in batch if taking.is_new(event_of(record))]
        if crash == "before the commit":
            return
        self._commit(partition, taking, new)
        if crash == "none":
            self._offsets[partition] = begin + len(batch)

    def _commit(self, partition: int, taking: Taking, new: Sequence[str]) -> None:
        track = self._tracks[partition] = taking.after()
        kept = [*self._notes[partition], *((track.taken, note) for note in taking.notes.values())]
        oldest = track.taken - self._recent
        self._notes[partition] = [(upto, note) for upto, note in kept if upto > oldest]
        self.taken += new
