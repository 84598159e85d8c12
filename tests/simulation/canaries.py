"""Relays with one bug each: what the simulation must see, and by which invariant.

Where the Hypothesis model has the same bug (tests/model/planted_bugs.py, planted_marks.py), it is
that one. The others need time to be bugs at all.
"""

from __future__ import annotations

from typing import NamedTuple

from coordinator.inbox.places import Taking
from relay.core.cursor import Cursor
from relay.core.fleet import Claim
from relay.core.inputs import Loaded, NothingAhead, Opened
from relay.core.lease import Lease
from relay.core.snapshot import Snapshot
from relay.daemon.elector import Elector
from relay.ports import CursorStore
from tests.model.fake_parking import Desk
from tests.model.fake_postgres import Session
from tests.model.fake_stores import FakeCursorStore, Reading
from tests.model.planted_bugs import PLANTED
from tests.model.planted_marks import BareMark, EpochIgnored, EqualPasses
from tests.simulation.relay_process import PartsInTime, RelayProcess

__all__ = ["CANARIES", "Canary"]


class Canary(NamedTuple):
    """A world with a bug, and by which invariants it may be seen first."""

    breaks: tuple[str, ...]
    parts: PartsInTime = PartsInTime()
    taking: type[Taking] = Taking


class CutByTxid(FakeCursorStore):
    """Ends the window behind the first transaction of it, to keep it small."""

    def open_next(self, cursor: Cursor) -> Opened | NothingAhead:
        database = self._session.database
        until = cut_behind_the_first(database.snapshot(), self._fresh(cursor))
        opened = cursor.opened(until)
        pages = self._reading.plan(database, opened.window, 0)
        if not pages:
            return super().open_next(cursor)
        self._append(opened)
        return Opened(opened, pages)

    def _fresh(self, cursor: Cursor) -> list[int]:
        events = self._session.database.committed
        return sorted(event.txid for event in events if event.txid >= cursor.until.xmax)


def cut_behind_the_first(until: Snapshot, txids: list[int]) -> Snapshot:
    if not txids:
        return until
    cut = txids[0] + 1
    return Snapshot(min(until.xmin, cut), cut, frozenset(xid for xid in until.xip if xid < cut))


class WithoutTerm(FakeCursorStore):
    """A row that is updated, whoever asks for it, instead of a log that admits one writer."""

    def load(self) -> Loaded:
        cursor = self._session.database.entries[-1]
        left = self._reading.plan(self._session.database, cursor.window, cursor.last_position)
        held = self._session.database.desk.held_in(cursor.number)
        return Loaded(cursor, () if cursor.closed else left, held)

    def _append(self, cursor: Cursor, desk: Desk | None = None) -> None:
        self._store(cursor, desk)


class TrustedFromTheReply(Elector):
    """Counts its trust from when it heard of the renewal."""

    def _asked(self, held: Lease | None, asked_at_s: float) -> tuple[Lease | None, Claim | None]:
        lease, claim = super()._asked(held, asked_at_s)
        return None if lease is None else lease.renewed(self._clock()), claim


def cut_by_txid(
    session: Session, owner: str, term: int, reading: Reading, memory: list[Cursor]
) -> CursorStore:
    return CutByTxid(session, owner, term, reading)


def without_term(
    session: Session, owner: str, term: int, reading: Reading, memory: list[Cursor]
) -> CursorStore:
    return WithoutTerm(session, owner, term, reading)


def of_the_model(name: str) -> Canary:
    parts, breaks = PLANTED[name]
    return Canary(
        (breaks, *ALSO_SEEN_BY.get(name, ())),
        PartsInTime(
            reading=parts.reading,
            make_store=parts.make_store,
            make_sink=parts.make_sink,
            make_rotation=parts.make_rotation,
        ),
    )


ALSO_SEEN_BY = {
    # A cursor of another time repeats events in other windows as well as it leaves some out.
    "cursor kept in memory over a lost connection": ("I3", "I5", "M1"),
    "ordered by txid": ("M1",),
    # A window that a crash took back is made anew, and what was in flight comes in another place.
    "window sent before it is stored": ("I5",),
    # What no hold covers is released by nobody.
    "hold ended with events left behind": ("I9",),
}

NOT_HERE = {
    "rotation of the leaf that is written to": "a leaf is locked for no time here",
    "handed over before the cursor is stored": "the pump knows no other machine",
    "key of a parked event not held": "the machine itself has it, and the pump knows no other",
}

CANARIES: dict[str, Canary] = {
    **{name: of_the_model(name) for name in PLANTED if name not in NOT_HERE},
    "window cut by txid": Canary(("I3",), PartsInTime(make_store=cut_by_txid)),
    "no term in the cursor update": Canary(("I5",), PartsInTime(make_store=without_term)),
    "lease by wall clock": Canary(("L1",), PartsInTime(clock=RelayProcess.wall_clock_s)),
    "lease never doubted": Canary(("L2",), PartsInTime(trusts=lambda elector, term: True)),
    "lease trusted from the reply": Canary(("L1",), PartsInTime(make_elector=TrustedFromTheReply)),
    "equal place is new": Canary(("M3",), taking=EqualPasses),
    "epoch ignored": Canary(("M2",), taking=EpochIgnored),
    "mark without the ids, over a promotion": Canary(("M3",), taking=BareMark),
}
