"""Relays with one bug each, in what they make of a restored outbox."""

from __future__ import annotations

from relay.core.window import Window
from tests.model.fake_numbering import before, enter, is_copied
from tests.model.fake_postgres import Event, FakePostgres
from tests.model.fake_rotation import FakeRotation
from tests.model.fake_stores import Reading, newest
from tests.model.two_step_pump import Parts

__all__ = ["PLANTED_RESTORES"]


def cursor_kept(database: FakePostgres) -> None:
    """Goes on from the cursor that came with the dump."""
    if not database.led:
        enter(database)


def one_floor_at_the_newest(database: FakePostgres) -> None:
    """Takes all that stands there for restored, what was written here too."""
    if not is_copied(database):
        return enter(database)
    numbering, _ = before(database)
    newest_position = database.new_position() - 1
    return database.note((numbering + 1, newest_position), (numbering + 2, newest_position))


def no_second_floor(database: FakePostgres) -> None:
    """Takes all that no window has reached for written here."""
    if not is_copied(database):
        return enter(database)
    numbering, floor = before(database)
    reach = max(floor, newest(database).reach)
    return database.note((numbering + 1, reach), (numbering + 2, reach))


def begun_anew(database: FakePostgres) -> None:
    """Begins from nothing, and trusts no event to have been published."""
    if not is_copied(database):
        return enter(database)
    numbering, floor = before(database)
    return database.note((numbering + 1, floor), (numbering + 2, database.new_position() - 1))


def by_ids_alone(database: FakePostgres, window: Window) -> list[Event]:
    """Asks for the ids of a window, whoever has given them out."""
    spans = window.ranges()
    return [e for e in database.standing if any(low <= e.txid < high for low, high in spans)]


class RestoredArePublished(FakeRotation):
    """Takes what came with a dump for published from the first moment."""

    def floor(self) -> int:
        return before(self.database)[1]


PLANTED_RESTORES: dict[str, tuple[Parts, str]] = {
    "cursor of the dump kept": (Parts(enter=cursor_kept), "I1"),
    "floor at the newest position": (Parts(enter=one_floor_at_the_newest), "I1"),
    "ids of the future waited for": (Parts(enter=no_second_floor), "I1"),
    "begun from nothing": (Parts(enter=begun_anew), "I5"),
    "ids compared across clusters": (Parts(Reading(members=by_ids_alone)), "I5"),
    "restored events make room": (Parts(make_rotation=RestoredArePublished), "I1"),
}
