"""Ways to lie down that leave an event lying."""

from __future__ import annotations

from relay.core.cursor import Cursor
from relay.core.inputs import NothingAhead, Opened
from relay.ports import CursorStore
from tests.model.fake_postgres import Session
from tests.model.fake_stores import FakeCursorStore, Reading
from tests.model.fake_wakeup import FakeWakeup
from tests.model.two_step_pump import Parts

__all__ = ["PLANTED_SLEEP"]


class SparesTheSecondLook(FakeCursorStore):
    """Takes the look before the sleep lock for one after it."""

    spared = False

    def open_next(self, cursor: Cursor) -> Opened | NothingAhead:
        if self.spared:
            self.spared = False
            return NothingAhead()
        return super().open_next(cursor)


class NoSecondLook(FakeWakeup):
    def __init__(self, session: Session, store: CursorStore) -> None:
        super().__init__(session)
        self._store = store

    def lie_down(self) -> bool:
        lies = super().lie_down()
        if isinstance(self._store, SparesTheSecondLook):
            self._store.spared = lies
        return lies


class BesideWriters(FakeWakeup):
    """Lies down over writers who have tried the lock before, and so will not notify."""

    def lie_down(self) -> bool:
        self._session.database.awake.clear()
        return super().lie_down()


def sparing(
    session: Session, owner: str, term: int, reading: Reading, memory: list[Cursor]
) -> CursorStore:
    return SparesTheSecondLook(session, owner, term, reading)


def beside_writers(session: Session, store: CursorStore) -> FakeWakeup:
    return BesideWriters(session)


PLANTED_SLEEP: dict[str, Parts] = {
    "no look under the sleep lock": Parts(make_store=sparing, make_wakeup=NoSecondLook),
    "writers under way forgotten": Parts(make_wakeup=beside_writers),
}
