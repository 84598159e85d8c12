"""The rings on the fake database: what Rotation promises, and no more. See contract/.

A leaf is locked, looked at and emptied in one step here, as nobody else gets in between; whoever
looks before is free to do so, and a planted bug does.
"""

from __future__ import annotations

from relay.core.blockers import Blockers
from relay.core.retention import Emptied, Milestone, Ring, Survey, published
from relay.core.snapshot import Snapshot
from relay.errors import Fenced
from tests.model.fake_numbering import is_copied
from tests.model.fake_postgres import Event, FakePostgres, Session
from tests.model.fake_stores import newest

__all__ = ["MODEL_RING", "FakeRotation"]

MODEL_RING = Ring(bits=1, slots=4)
"""Two positions a leaf, so that a few events go all the way round."""


class FakeRotation:
    """See Rotation."""

    def __init__(self, session: Session, owner: str, term: int, ring: Ring = MODEL_RING) -> None:
        self._session = session
        self._held = (owner, term)
        self._ring = ring

    @property
    def database(self) -> FakePostgres:
        return self._session.database

    def mark(self, every_s: float) -> None:
        marks = self.database.milestones
        c = published(newest(self.database))
        lately = bool(marks) and marks[-1].at_s > self.database.now_s - every_s
        if not lately and c.number not in {one.milestone.number for one in marks}:
            self.database.mark(c)

    def survey(self, retention_s: float) -> Survey:
        database = self.database
        old_enough = [
            one.milestone for one in database.milestones if one.at_s <= database.now_s - retention_s
        ]
        leaves = range(self._ring.slots)
        written = [*database.standing, *database.open_events]
        used = {self._ring.slot_of(event.position) for event in written}
        numbers = {self._ring.slot_of(entry.number) for entry in database.entries}
        return Survey(
            position=database.new_position() - 1,
            event_bytes=tuple(int(slot in used) for slot in leaves),
            number=newest(database).number,
            log_bytes=tuple(int(slot in numbers) for slot in leaves),
            old=old_enough[-1] if old_enough else None,
        )

    def forget_before(self, milestone: Milestone) -> None:
        """They do no harm here."""

    def empty_events(self, slot: int, old: Snapshot | None) -> Emptied:
        if any(self._ring.slot_of(event.position) == slot for event in self.database.open_events):
            return Emptied.IN_USE
        self._check_term()
        events = self._events_of(slot)
        numbered_here = self._numbered_here(slot)
        too_young = old is not None and any(not old.sees(event.txid) for event in numbered_here)
        if too_young or self.is_needed_under_the_lock(slot):
            return Emptied.NEEDED
        self.database.truncate(positions=frozenset(event.position for event in events))
        return Emptied.EMPTIED

    def empty_log(self, slot: int, keep_s: float) -> Emptied:
        self._check_term()
        numbers = [entry.number for entry in self.database.entries]
        here = frozenset(one for one in numbers if self._ring.slot_of(one) == slot)
        if keep_s or any(number >= self.log_needed_from() for number in here):
            return Emptied.NEEDED
        self.database.truncate(numbers=here)
        return Emptied.EMPTIED

    def blockers(self, after_s: float) -> Blockers:
        return Blockers()

    # What a planted bug has otherwise

    def c(self) -> Snapshot:
        return published(newest(self.database)).snapshot

    def floor(self) -> int:
        return published(newest(self.database)).floor

    def needs(self, c: Snapshot, event: Event) -> bool:
        return event.txid >= c.xmax or event.txid in c.xip

    def is_needed(self, slot: int) -> bool:
        c = self.c()
        return any(self.needs(c, event) for event in self._numbered_here(slot))

    def is_needed_under_the_lock(self, slot: int) -> bool:
        return self.is_needed(slot)

    def log_needed_from(self) -> int:
        return newest(self.database).number - 1

    def _events_of(self, slot: int) -> list[Event]:
        return [e for e in self.database.standing if self._ring.slot_of(e.position) == slot]

    def _numbered_here(self, slot: int) -> list[Event]:
        return [event for event in self._events_of(slot) if event.position > self.floor()]

    def _check_term(self) -> None:
        lease = self.database.lease
        if (lease.owner, lease.term) != self._held or is_copied(self.database):
            raise Fenced(f"term {self._held[1]} is over")
