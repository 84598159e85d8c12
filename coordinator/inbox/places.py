"""Which events of our relay were taken, told by their places: no I/O, one partition at a time.

An event's place (`ce_sequence`) is the same on every attempt inside one epoch. Naive: remember the
highest place that was taken of a partition, and drop what is not above it. That is right as long as

    inside one epoch a partition gets the events of a source in rising place, but for repeats

and it does: an attempt starts at or before the first event that is not acknowledged, so whatever
lies before its start is in the partition already, and of the attempt itself a prefix arrives. A
prefix on top of a prefix is one again, whoever sends it: the next leader, a producer that was
thrown away, a paused leader that wakes up an hour later. So nothing that arrives for the first time
lies below what was there. (The model checks this with all of these at once.)

Five things are outside of that argument, and need more than the mark:

- A topic gets more partitions while events are in flight. A key moves, and its event comes to a
  partition that has passed its place: dropped by a bare mark, it would be lost.
- After the promotion of a standby the epoch is another, and what was in flight comes again under
  it. Windows that the standby had not got are made anew, so a place says nothing across epochs.
- An event that was parked gets a new place when it is released. A paused leader that had it in
  flight may wake up and publish it at the old one, before or after that.
- An event was refused, and the leader died before it had parked it. Refused no longer, it is
  published by the next one at its place, and what stood behind it of other keys was before it.
- The database is put back to an earlier state without a new timeline (a disk's snapshot). Window
  numbers come again, in the same epoch, for other events.

So the ids of the last events (RECENT, or more) are kept beside the mark, in notes. An event above
the `floor` of these, whatever the mark says, is a repeat exactly if its id is among them; so is one
that comes again under another epoch, or is released. Only what lies below is judged by its place
alone, and there the last case is seen: a repeat is no younger than the youngest event that was
taken.

A fifth thing looks like them and is marked: a replay, old events sent again on purpose. Its places
say nothing about the stream, so they neither move the mark nor are they measured by it alone. What
they are measured by is how much of the epoch this memory has read: all that appeared since it
`began`, up to the mark. An event from before, or from beyond the mark, has left no trace here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from coordinator.errors import PlacesWentBack

RECENT = 8_192
"""Of how many events of a partition the ids are kept: the most that the relay has in flight."""

BEFORE_ALL = ""
NEVER = -(2**62)


class Event(NamedTuple):
    """What is asked of a record. `place` and `time` have a fixed width: as text they compare.

    `released`: it was parked, and has another place than before. `is_replayed`: it is none of the
    stream.
    """

    epoch: str
    place: str
    time: str
    event_id: str
    released: bool = False
    is_replayed: bool = False


class Reached(NamedTuple):
    """How far a partition is within one epoch.

    Attributes:
        place: the highest that was taken.
        newest_time: of the event that was written last, of those that were taken.
        at: how many events of the partition, of any epoch, were taken when this was noted.
        began: the place of the first event that was taken; empty where that was not noted.
        replayed: the highest place that was taken from a replay. Up to there an event of the stream
            may have been taken from one, and its id in `inbox.seen` tells.
    """

    place: str
    newest_time: str
    at: int
    began: str = BEFORE_ALL
    replayed: str = BEFORE_ALL


class Note(NamedTuple):
    """The ids that one batch added. `since`: the highest place of the epoch before it."""

    epoch: str
    since: str
    event_ids: list[str]


@dataclass(frozen=True, slots=True)
class Track:
    """All that is remembered of a partition but for the notes: a row, read for every batch."""

    taken: int = 0
    epochs: Mapping[str, Reached] = field(default_factory=dict)


class Taking:
    """Judges one batch of one partition, record by record, and collects what is to be noted.

    Attributes:
        notes: by epoch, what this batch adds.
        has_replayed: whether it took anything from a replay.
    """

    def __init__(
        self, track: Track, recall: Callable[[], Iterable[Note]], recent: int = RECENT
    ) -> None:
        """Begin a batch.

        Args:
            track: what is remembered; the caller holds its lock.
            recall: reads the notes that are kept, the oldest first. Called once, and only if a
                place alone does not tell.
            recent: of how many events the notes are kept, at least.
        """
        self._before = track
        self._epochs = dict(track.epochs)
        self._recall = recall
        self._recent: set[str] | None = None
        self._floors: dict[str, str] = {}
        self._crossed = _epochs_within(track, recent)
        self.notes: dict[str, Note] = {}
        self.has_replayed = False

    def is_new(self, event: Event) -> bool:
        """Tell whether the event was not taken before; it is from here on.

        Raises:
            PlacesWentBack: it cannot be told any more, see above.
        """
        reached = self._epochs.get(event.epoch)
        ahead = reached is None or event.place > reached.place
        if ahead and not event.released and self._crossed <= {event.epoch}:
            self._note(event, reached)
            return True
        if event.event_id in self._known_ids():
            return False
        if not ahead and event.place <= self._floors.get(event.epoch, BEFORE_ALL):
            if reached is not None and event.time > reached.newest_time:
                raise PlacesWentBack(event.epoch, event.place)
            return False
        self._note(event, reached)
        return True

    def has_trace_of(self, replayed: Event) -> bool:
        """Tell whether a replayed event is known to be taken, by its id or by its place."""
        reached = self._epochs.get(replayed.epoch)
        if reached is not None and reached.began <= replayed.place <= reached.place:
            return True
        return replayed.event_id in self._known_ids()

    def note_replayed(self, event: Event) -> None:
        """Remember that a replayed event is taken; the mark stays where it is."""
        reached = self._epochs.get(event.epoch, Reached(BEFORE_ALL, BEFORE_ALL, NEVER))
        replayed = max(reached.replayed, event.place)
        self._epochs[event.epoch] = reached._replace(replayed=replayed)
        self.has_replayed = True

    def may_be_replayed(self, event: Event) -> bool:
        """Tell whether an event of the stream may have been taken from a replay before."""
        reached = self._epochs.get(event.epoch)
        return reached is not None and event.place <= reached.replayed

    def after(self) -> Track:
        """Return what is to be remembered once the batch is committed."""
        taken = self._before.taken + sum(len(note.event_ids) for note in self.notes.values())
        noted = {epoch: self._epochs[epoch]._replace(at=taken) for epoch in self.notes}
        return Track(taken, self._epochs | noted)

    def _note(self, event: Event, reached: Reached | None) -> None:
        if (note := self.notes.get(event.epoch)) is None:
            since = BEFORE_ALL if reached is None else reached.place
            note = self.notes[event.epoch] = Note(event.epoch, since, [])
            self._crossed.add(event.epoch)
        note.event_ids.append(event.event_id)
        if self._recent is not None:
            self._recent.add(event.event_id)
        _, place, time, *_ = event
        began, replayed = place, BEFORE_ALL
        if reached is not None:
            began = reached.began if reached.place else place
            replayed = reached.replayed
            place = max(reached.place, place)
            time = max(reached.newest_time, time)
        self._epochs[event.epoch] = Reached(place, time, self._before.taken, began, replayed)

    def _known_ids(self) -> set[str]:
        """The ids in the notes, this batch's included; sets the floor of each epoch."""
        if self._recent is None:
            kept = list(self._recall())
            self._floors = {epoch: reached.place for epoch, reached in self._before.epochs.items()}
            for note in reversed(kept):
                self._floors[note.epoch] = note.since
            notes = [*kept, *self.notes.values()]
            self._recent = {event_id for note in notes for event_id in note.event_ids}
        return self._recent


def _epochs_within(track: Track, recent: int) -> set[str]:
    """The epochs of which an id may still be among those that are kept."""
    oldest = track.taken - recent
    return {epoch for epoch, reached in track.epochs.items() if reached.at > oldest}
