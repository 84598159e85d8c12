"""Sinks of the exactly-once mode with one bug each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from relay.core import inputs as told
from relay.core.cursor import Cursor
from relay.core.reached import Reached
from relay.ports import CursorStore, Sink
from tests.model.exactly_once_machine import transactional
from tests.model.fake_broker import FakeBroker, Transaction
from tests.model.fake_parking import Desk
from tests.model.fake_postgres import Session
from tests.model.fake_stores import FakeCursorStore, Reading
from tests.model.fake_transactions import FakeTransactionalSink
from tests.model.two_step_pump import Parts, Sender

__all__ = ["FORGOTTEN", "PLANTED"]


class AnyWindow(FakeTransactionalSink):
    """Takes the position for one of the present window, whichever it was committed in."""

    def __init__(self, broker: FakeBroker, process: Sender) -> None:
        super().__init__(broker, process.database.epoch)
        self._process = process

    def recover(self, keep_going: Callable[[], bool]) -> told.Input:
        super().recover(keep_going)
        if self.reached is None:
            return told.Recovered()
        return told.Recovered(Reached(self._process.cursor.window_id, self.reached.position))


class ForgetsWhatIsLeftOut(FakeTransactionalSink):
    """Keeps the position alone."""

    def recover(self, keep_going: Callable[[], bool]) -> told.Input:
        super().recover(keep_going)
        if self.reached is None:
            return told.Recovered()
        return told.Recovered(Reached(self.reached.window_id, self.reached.position))


class AsksFirst(FakeTransactionalSink):
    """Asks what is committed, and then shuts the earlier producer out; in between it commits."""

    def recover(self, keep_going: Callable[[], bool]) -> told.Input:
        found = self.transactions.reached
        if self.producer is None:
            self.transactions.commit_arrives()
            self.producer = self.transactions.init()
        self.reached = found
        return told.Recovered(found)


class WithoutFence(FakeTransactionalSink):
    """An id of its own for each producer: nobody is shut out."""

    def refuse_if_fenced(self) -> None:
        """Goes on."""


class DoubtIsFailure(FakeTransactionalSink):
    """Takes a commit without a reply for one that has failed."""

    def _end_in_doubt(self, transaction: Transaction, how: int) -> None:
        before = self.reached
        super()._end_in_doubt(transaction, how)
        self.producer = self.transactions.init()
        self.reached = before


class KnownByNumber(FakeCursorStore):
    """Names a window by its number alone, which a failed-over database gives again."""

    def _open(self, opened: Cursor, desk: Desk | None = None) -> Cursor:
        opened = replace(opened, window_id=str(opened.number))
        self._append(opened, desk)
        return opened


def known_by_number(
    session: Session, owner: str, term: int, reading: Reading, memory: list[Cursor]
) -> CursorStore:
    return KnownByNumber(session, owner, term, reading)


def any_window(broker: FakeBroker, store: CursorStore, process: Sender) -> Sink:
    return AnyWindow(broker, process)


def forgets(broker: FakeBroker, store: CursorStore, process: Sender) -> Sink:
    return ForgetsWhatIsLeftOut(broker, process.database.epoch)


def asks_first(broker: FakeBroker, store: CursorStore, process: Sender) -> Sink:
    return AsksFirst(broker, process.database.epoch)


def without_fence(broker: FakeBroker, store: CursorStore, process: Sender) -> Sink:
    return WithoutFence(broker, process.database.epoch)


def doubt_is_failure(broker: FakeBroker, store: CursorStore, process: Sender) -> Sink:
    return DoubtIsFailure(broker, process.database.epoch)


PLANTED: dict[str, tuple[Parts, str]] = {
    "position believed of any window": (Parts(make_sink=any_window), "I1"),
    "what is left out is forgotten": (Parts(make_sink=forgets), "I1"),
    "asked before the earlier producer is shut out": (Parts(make_sink=asks_first), "I5"),
    "nobody is fenced": (Parts(make_sink=without_fence), "I5"),
    "commit in doubt taken for a failure": (Parts(make_sink=doubt_is_failure), "I5"),
}

FORGOTTEN: Parts = Parts(make_store=known_by_number, make_sink=transactional)
"""Found only where a failover may lose entries of the log."""
