"""One relay process in the model: the production machine and elector, a step at a time.

A step has two halves. `look` asks whether the lease is still trusted, as the pump does before it
acts; `act` acts. Between the two a process may be paused for as long as it takes another to be
elected: that is the zombie, and nothing in the process can notice it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from relay.core import effects as do
from relay.core import inputs as told
from relay.core.cursor import Cursor
from relay.core.lease import RENEW_EVERY_S
from relay.core.machine import Moment, Relay, State, step
from relay.core.retention import Emptied, Survey
from relay.core.turns import Step
from relay.core.window import Window
from relay.daemon.elector import Elector
from relay.daemon.housekeeping import Keeping, RotationPass
from relay.daemon.membership import Membership
from relay.errors import Fenced, InvariantBroken, Unreachable
from relay.ports import CursorStore, Rotation, Sink
from tests.model.fake_broker import FakeBroker, FakeSink
from tests.model.fake_numbering import enter
from tests.model.fake_postgres import FakePostgres, Session
from tests.model.fake_rotation import MODEL_RING, FakeRotation
from tests.model.fake_stores import (
    FakeCursorStore,
    FakeLeaseStore,
    FakePageSource,
    Reading,
    in_window,
)
from tests.model.fake_wakeup import FakeWakeup

__all__ = ["Parts", "Process", "Sender"]


class MakesStore(Protocol):
    def __call__(
        self, session: Session, owner: str, term: int, reading: Reading, memory: list[Cursor]
    ) -> CursorStore: ...


class Sender(Protocol):
    """What a sink may know of the process that it sends for."""

    @property
    def database(self) -> FakePostgres: ...
    @property
    def cursor(self) -> Cursor: ...


class MakesSink(Protocol):
    def __call__(self, broker: FakeBroker, store: CursorStore, process: Sender) -> Sink: ...


class MakesWakeup(Protocol):
    def __call__(self, session: Session, store: CursorStore) -> FakeWakeup: ...


class MakesRotation(Protocol):
    def __call__(self, session: Session, owner: str, term: int) -> Rotation: ...


def honest_store(
    session: Session, owner: str, term: int, reading: Reading, memory: list[Cursor]
) -> CursorStore:
    return FakeCursorStore(session, owner, term, reading)


def honest_sink(broker: FakeBroker, store: CursorStore, process: Sender) -> Sink:
    return FakeSink(broker, process.database.epoch)


def honest_wakeup(session: Session, store: CursorStore) -> FakeWakeup:
    return FakeWakeup(session)


@dataclass(frozen=True)
class Parts:
    """What a process is made of; a planted bug is another part."""

    reading: Reading = field(default_factory=Reading)
    make_store: MakesStore = honest_store
    make_sink: MakesSink = honest_sink
    make_wakeup: MakesWakeup = honest_wakeup
    make_rotation: MakesRotation = FakeRotation
    step: Callable[[Relay, told.Input, Moment], Step] = step
    enter: Callable[[FakePostgres], None] = enter


@dataclass
class _Term:
    """One term of leading, as a Pump is."""

    number: int
    store: CursorStore
    source: FakePageSource
    sink: Sink
    wakeup: FakeWakeup


@dataclass
class Process:
    """One life of a relay process; a restart is another.

    Attributes:
        listening: whether writers can wake it.
        unstored: how many records went out since the last entry was stored: those in flight.
        repeatable: how many records faults have allowed to be repeated.
        most_in_flight: the most that one fault has allowed.
    """

    owner: str
    database: FakePostgres
    broker: FakeBroker
    parts: Parts
    listening: bool = False
    stopping: bool = False
    stopped: bool = False
    unstored: int = 0
    repeatable: int = 0
    most_in_flight: int = 0
    memory: list[Cursor] = field(default_factory=list)

    def __post_init__(self) -> None:
        leases = FakeLeaseStore(self.database)
        membership = Membership(self.owner, lambda: self.database.now_s)
        # It leads another outbox, so that it gives this one to whoever claims it and leads none.
        membership.seat("another").granted()
        seat = membership.seat("this")
        self.elector = Elector(
            self.owner, leases, lambda: self.database.now_s, lambda _: None, lambda _: None, seat
        )
        self._leases = leases
        self._term: _Term | None = None
        self._relay = Relay()
        self._effect: do.Effect = do.StandBy()
        self._may_act = False
        self._renewed_at_s = self.database.now_s
        self._housekeeping: tuple[RotationPass, Survey] | None = None
        self._leaving = False

    @property
    def idle(self) -> bool:
        """Whether it leads and has found nothing to publish."""
        resting = isinstance(self._effect, do.Rest) and self._effect.idle
        return resting or isinstance(self._effect, do.LieDown | do.Sleep)

    @property
    def lies_down(self) -> bool:
        """Whether the sleep lock is what it asks for next."""
        return isinstance(self._effect, do.LieDown)

    @property
    def misses(self) -> int:
        """How many events it sleeps through: visible to it, in no window, and nobody will wake it.

        One whose term is over in the database is no judge of windows: the next leader opens them.
        """
        term, database = self._term, self.database
        asleep = term is not None and isinstance(self._effect, do.Sleep)
        if term is None or not asleep or not term.wakeup.lies or term.wakeup.notified:
            return 0
        if (database.lease.owner, database.lease.term) != (self.owner, term.number):
            return 0
        ahead = Window(self.cursor.until, database.snapshot())
        return len(in_window(database, ahead))

    @property
    def cursor(self) -> Cursor:
        return self._relay.at

    def run(self, steps: int = 1) -> None:
        """Keep the lease, and make so many steps."""
        for _ in range(steps):
            self._keep_the_lease()
            self._look()
            self._act()

    def run_until_idle(self, steps_max: int) -> None:
        """Publish what is there. Idle twice: the first time may rest on an older look."""
        times_idle = 0
        for _ in range(steps_max):
            self.run()
            times_idle += self.idle
            if times_idle == 2:
                return

    def half_a_step(self) -> None:
        """Look, if it has not, else act: a process can be paused between the two."""
        if self._may_act:
            self._act()
        else:
            self._look()

    def look_at_the_rings(self) -> None:
        """The first half of a pass over them. Published events are kept for no time at all."""
        if self._term is None:
            return
        rotation = self.parts.make_rotation(Session(self.database), self.owner, self._term.number)
        halves = RotationPass(rotation, Keeping(0.0), MODEL_RING, MODEL_RING)
        self._housekeeping = halves, halves.look()

    def empty_a_leaf(self) -> list[int]:
        """The second half, however much later: the leaves of events that it emptied."""
        if self._housekeeping is None:
            return []
        (halves, survey), self._housekeeping = self._housekeeping, None
        try:
            tried = halves.empty_events(survey)
            halves.empty_log(survey)
        except (Fenced, Unreachable):
            return []
        return [leaf.slot for leaf, outcome in tried if outcome is Emptied.EMPTIED]

    def _look(self) -> None:
        if self._term is None:
            self._begin_term()
        elif not self.elector.trusted(self._term.number):
            self._lose()
        else:
            self._may_act = True

    def _act(self) -> None:
        if self._term is None or not self._may_act:
            return
        self._may_act = False
        try:
            self._tell(self._perform(self._effect, self._term))
        except Fenced:
            self.elector.resign(self._term.number)
            self._lose()
        except Unreachable:
            self._lose()

    def stop(self, steps_max: int) -> None:
        """SIGTERM: drain, and give the lease back."""
        self.stopping = True
        while self._term is not None and not self.stopped and steps_max:
            self.run()
            steps_max -= 1
        assert self.stopped or self._term is None, f"does not stop in {self._relay.state}"
        self._close()
        self._leases.release(self.owner)

    def claim(self) -> None:
        """Ask whoever leads for the outbox, as a standby of a fleet does that leads no other."""
        self._leases.acquire(self.owner, leads=0, claims=True)

    def die(self) -> None:
        """SIGKILL: what is in flight may be repeated by the next leader."""
        self.allow(self.unstored)
        self._close()
        self.stopped = True

    def allow(self, records: int) -> None:
        """A fault: so many of the records that went out may go out again."""
        self.repeatable += records
        self.most_in_flight = max(self.most_in_flight, records)
        self.unstored = 0

    def _keep_the_lease(self) -> None:
        """No more often than the elector's thread does: each renewal flushes the log."""
        now_s = self.database.now_s
        if self.elector.await_term(0.0) is None or now_s >= self._renewed_at_s + RENEW_EVERY_S:
            self.elector.attempt()
            self._renewed_at_s = now_s

    def _begin_term(self) -> None:
        number = self.elector.await_term(0.0)
        if number is None or self.stopping:
            return
        session, parts = Session(self.database), self.parts
        parts.enter(session.database)
        store = parts.make_store(session, self.owner, number, parts.reading, self.memory)
        sink = parts.make_sink(self.broker, store, self)
        wakeup = parts.make_wakeup(session, store)
        self._term = _Term(number, store, FakePageSource(session, parts.reading), sink, wakeup)
        self._leaving = False
        self.elector.when_to_leave(self._leave)
        self._tell(told.Elected())

    def _leave(self) -> None:
        self._leaving = True

    def _hand_over(self, term: _Term) -> None:
        """A clean stop of the term alone: the process lives on, and nothing may be repeated."""
        self.elector.hand_over(term.number)
        self.elector.attempt()
        self._close()
        self._relay, self._effect, self._term = Relay(), do.StandBy(), None
        self._may_act = False
        self.unstored = 0

    def _lose(self) -> None:
        self.allow(self.unstored)
        self._tell(told.Lost())
        self._close()
        self._term = None
        self._may_act = False

    def _close(self) -> None:
        """The connections end with the term."""
        if self._term is not None:
            self._term.wakeup.close()

    def _tell(self, given: told.Input) -> None:
        moment = Moment(self.database.now_s, self.stopping or self._leaving, self.listening)
        self._relay, self._effect = self.parts.step(self._relay, given, moment)
        if isinstance(self._effect, do.Stop):
            assert self._relay.state is State.STOPPED
            if self.stopping or self._term is None:
                self.stopped = True
            else:
                self._hand_over(self._term)

    def _perform(self, effect: do.Effect, term: _Term) -> told.Input:
        match effect:
            case do.Load():
                return term.store.load()
            case do.Recover():
                return term.sink.recover(lambda: True)
            case do.OpenNext(cursor):
                return self._stored(term.store.open_next(cursor))
            case do.Read(window, page, _):
                return told.PageRead(term.source.read(window, page))
            case do.Send():
                return self._send(term, effect)
            case do.Save(cursor, unblocks, parked):
                return self._stored(term.store.save(cursor, unblocks=unblocks, parked=parked))
            case do.ReportBlocked(event_id, reason):
                term.store.report_blocked(event_id, reason)
                return told.Reported()
            case do.Rest(seconds):
                self.database.now_s += seconds
                return told.Rested()
            case _:
                return self._perform_sleep(effect, term)

    def _perform_sleep(self, effect: do.Effect, term: _Term) -> told.Input:
        match effect:
            case do.LieDown():
                return told.Asleep() if term.wakeup.lie_down() else told.Disturbed()
            case do.Sleep(seconds):
                if not term.wakeup.sleep(seconds, lambda: self.stopping) and not self.stopping:
                    self.database.now_s += seconds
                return told.Woken()
            case do.Rise():
                term.wakeup.rise()
                return told.Risen()
            case _:
                raise InvariantBroken(f"an effect that the pump cannot perform: {effect!r}")

    def _send(self, term: _Term, send: do.Send) -> told.Input:
        before = len(self.broker.records)
        outcome = term.sink.send(send.rows, send.number, send.reached, lambda: True)
        went_out = len(self.broker.records) - before
        self.unstored += went_out
        superseded = self.database.lease.term != term.number
        if superseded or not isinstance(outcome, told.Acked):
            self.allow(self.unstored)
        return outcome

    def _stored(self, given: told.Input) -> told.Input:
        if not isinstance(given, told.NothingAhead):
            self.unstored = 0
        return given
