"""Relays with one bug each. The names are those that outboxes are known to fail by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from relay.core import effects as do
from relay.core import inputs as told
from relay.core.cursor import Cursor
from relay.core.inputs import Loaded, NothingAhead, Opened, Rows
from relay.core.machine import Moment, Relay, State, step
from relay.core.parking import Parked
from relay.core.reached import Reached
from relay.core.retention import Survey
from relay.core.snapshot import Snapshot
from relay.core.turns import Step
from relay.core.window import Page, Window
from relay.errors import Fenced
from relay.ports import CursorStore, Sink
from tests.model.fake_broker import FakeBroker, FakeSink
from tests.model.fake_parking import Desk
from tests.model.fake_postgres import Event, FakePostgres, Session, visible
from tests.model.fake_rotation import MODEL_RING, FakeRotation
from tests.model.fake_stores import FakeCursorStore, Reading, newest
from tests.model.two_step_pump import Parts, Sender

__all__ = ["PLANTED"]


def behind_the_last_id(database: FakePostgres, window: Window) -> list[Event]:
    """`where position > last`, last being the newest that was read before."""
    read = visible(database.committed, window.since)
    last = max((event.position for event in read), default=0)
    return [one for one in visible(database.committed, window.until) if one.position > last]


def by_txid(event: Event) -> tuple[int, int]:
    """`order by txid, position`."""
    return (event.txid, event.position)


def without_late_part(database: FakePostgres, window: Window) -> list[Event]:
    """Only what had no id yet when C was taken, not what was in progress."""
    seen = visible(database.committed, window.until)
    return [event for event in seen if event.txid >= window.since.xmax]


class RememberingStore(FakeCursorStore):
    """Goes on from the cursor that it remembers, over whatever happened to the connection."""

    def __init__(
        self, session: Session, owner: str, term: int, reading: Reading, memory: list[Cursor]
    ) -> None:
        super().__init__(session, owner, term, reading)
        self._memory = memory

    def load(self) -> Loaded:
        if not self._memory:
            return super().load()
        cursor = self._memory[-1]
        database = self._session.database
        left = self._reading.plan(database, cursor.window, cursor.last_position)
        return Loaded(cursor, () if cursor.closed else left, database.desk.held_in(cursor.number))

    def open_next(self, cursor: Cursor) -> Opened | NothingAhead:
        if self._memory and self._memory[-1].closed:
            cursor = self._memory[-1]
        opened = super().open_next(cursor)
        if isinstance(opened, NothingAhead):
            until = self._session.database.snapshot()
            self._memory.append(replace(cursor, since=until, until=until, closed=True))
        return opened

    def _append(self, cursor: Cursor, desk: Desk | None = None) -> None:
        try:
            super()._append(cursor, desk)
        except Fenced:
            self._memory.clear()
            raise
        self._memory.append(cursor)


class AsynchronousStore(FakeCursorStore):
    """Sends a window without having waited until it, and so its events, are flushed."""

    def _store(self, cursor: Cursor, desk: Desk | None) -> None:
        self._session.database.store_entry(cursor, desk, synchronous=False)


class StoresFirst(FakeSink):
    """Moves the cursor past events, and then sends them."""

    def __init__(self, broker: FakeBroker, store: CursorStore, process: Sender) -> None:
        super().__init__(broker, process.database.epoch)
        self._store = store
        self._process = process

    def send(
        self, rows: told.Rows, number: int, reached: Reached, keep_going: Callable[[], bool]
    ) -> told.Input:
        cursor = self._process.cursor.advanced(told.position(rows[-1]))
        self._store.save(cursor, unblocks=False)
        return super().send(rows, number, reached, keep_going)


class DeafSink(FakeSink):
    """Takes silence for an acknowledgement."""

    def send(
        self, rows: told.Rows, number: int, reached: Reached, keep_going: Callable[[], bool]
    ) -> told.Input:
        outcome = super().send(rows, number, reached, keep_going)
        return told.Acked() if isinstance(outcome, told.Doubtful) else outcome


class SkippingSink(FakeSink):
    """Leaves out what the broker refuses, and sends the rest of its page."""

    def send(
        self, rows: told.Rows, number: int, reached: Reached, keep_going: Callable[[], bool]
    ) -> told.Input:
        refused = self._broker.refused | self._broker.missing | self._broker.too_large
        rest = [row for row in rows if told.event_id(row) not in refused]
        if not rest:
            return told.Refused("no")
        outcome = super().send(rest, number, reached, keep_going)
        return told.Refused("no") if isinstance(outcome, told.Acked) and rest != rows else outcome


class AgainstS(FakeRotation):
    """Takes what has been read for published."""

    def c(self) -> Snapshot:
        return newest(self.database).until


class WithoutLate(FakeRotation):
    """Looks for what is newer than C only, not for what was open at C."""

    def needs(self, c: Snapshot, event: Event) -> bool:
        return event.txid >= c.xmax


class BeforeTheLock(FakeRotation):
    """Sees whether a leaf is needed, and then locks and empties it."""

    def survey(self, retention_s: float) -> Survey:
        self._needed = {slot: self.is_needed(slot) for slot in range(MODEL_RING.slots)}
        return super().survey(retention_s)

    def is_needed_under_the_lock(self, slot: int) -> bool:
        return self._needed[slot]


class AnyLeaf(FakeRotation):
    """Takes the first position for the newest, so that no leaf is known to be written to."""

    def survey(self, retention_s: float) -> Survey:
        return replace(super().survey(retention_s), position=1)


class LogWithoutC(FakeRotation):
    """Keeps the newest entry of the log, and not the one that its C stands in."""

    def log_needed_from(self) -> int:
        return newest(self.database).number


class CopylessStore(FakeCursorStore):
    """Passes a refused event and holds its key, and keeps no copy."""

    def _desk_after(self, cursor: Cursor, parked: tuple[Parked, ...]) -> Desk:
        desk = super()._desk_after(cursor, parked)
        return replace(desk, parked=self._session.database.desk.parked)


class ForgetfulStore(FakeCursorStore):
    """Holds what it refused itself, and not what an earlier leader did."""

    def load(self) -> Loaded:
        return replace(super().load(), held=frozenset())


class HeadOnlyStore(FakeCursorStore):
    """Ends a hold with the event that began it, and leaves those behind it for later."""

    def _append(self, cursor: Cursor, desk: Desk | None = None) -> None:
        if desk is not None and desk.parked and cursor.step == 0:
            head, *behind = sorted(desk.parked, key=lambda one: one.release_window is None)
            desk = replace(
                desk, parked=(head, *(replace(one, release_window=None) for one in behind))
            )
        super()._append(cursor, desk)


class Backwards(Reading):
    """Releases the newest of a page first."""

    def page(self, database: FakePostgres, window: Window, page: Page) -> Rows:
        rows = super().page(database, window, page)
        return rows[::-1] if window.releases else rows


def copyless(
    session: Session, owner: str, term: int, reading: Reading, memory: list[Cursor]
) -> CursorStore:
    return CopylessStore(session, owner, term, reading)


def forgetful(
    session: Session, owner: str, term: int, reading: Reading, memory: list[Cursor]
) -> CursorStore:
    return ForgetfulStore(session, owner, term, reading)


def head_only(
    session: Session, owner: str, term: int, reading: Reading, memory: list[Cursor]
) -> CursorStore:
    return HeadOnlyStore(session, owner, term, reading)


def holding_nothing(relay: Relay, given: told.Input, moment: Moment) -> Step:
    """Sets aside what was refused, and what stands behind it in its page, but no more."""
    relay, effect = step(relay, given, moment)
    return replace(relay, held=frozenset()), effect


def leaving_at_once(relay: Relay, given: told.Input, moment: Moment) -> Step:
    """Hands over as soon as the broker has acknowledged, and stores nothing of it."""
    if moment.stopping and isinstance(given, told.Acked):
        return replace(relay, state=State.STOPPED), do.Stop()
    return step(relay, given, moment)


def remembering(
    session: Session, owner: str, term: int, reading: Reading, memory: list[Cursor]
) -> CursorStore:
    return RememberingStore(session, owner, term, reading, memory)


def asynchronous(
    session: Session, owner: str, term: int, reading: Reading, memory: list[Cursor]
) -> CursorStore:
    return AsynchronousStore(session, owner, term, reading)


def deaf(broker: FakeBroker, store: CursorStore, process: Sender) -> Sink:
    return DeafSink(broker, process.database.epoch)


def skipping(broker: FakeBroker, store: CursorStore, process: Sender) -> Sink:
    return SkippingSink(broker, process.database.epoch)


# One page a window, so that the order is all that is wrong.
_BY_TXID = Reading(order=by_txid, chunk_bits=20, page_events_max=1_000)  # type: ignore[arg-type]  # sorts as well

PLANTED: dict[str, tuple[Parts, str]] = {
    "id > last": (Parts(Reading(members=behind_the_last_id)), "I1"),
    "ordered by txid": (Parts(_BY_TXID), "I3"),
    "no late part": (Parts(Reading(members=without_late_part)), "I1"),
    "cursor kept in memory over a lost connection": (Parts(make_store=remembering), "I1"),
    "window sent before it is stored": (Parts(make_store=asynchronous), "I2"),
    "cursor moved before the ack": (Parts(make_sink=StoresFirst), "I1"),
    "result of the flush ignored": (Parts(make_sink=deaf), "I1"),
    "refused event overtaken": (Parts(make_sink=skipping), "I3"),
    "rotation against S": (Parts(make_rotation=AgainstS), "I1"),
    "rotation without xip(C)": (Parts(make_rotation=WithoutLate), "I1"),
    "rotation looks before its lock": (Parts(make_rotation=BeforeTheLock), "I1"),
    "rotation of the leaf that is written to": (Parts(make_rotation=AnyLeaf), "I10"),
    "rotation of the C that is needed": (Parts(make_rotation=LogWithoutC), "I5"),
    "key of a parked event not held": (Parts(step=holding_nothing), "I3"),
    "hold lost on restart": (Parts(make_store=forgetful), "I3"),
    "cursor passes a refused event without its copy": (Parts(make_store=copyless), "I1"),
    "hold ended with events left behind": (Parts(make_store=head_only), "I3"),
    "handed over before the cursor is stored": (Parts(step=leaving_at_once), "I5"),
    "released in another order": (Parts(Backwards()), "I3"),
}
