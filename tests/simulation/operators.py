"""Operators: what they decide about parked events and holds, whether or not it is wise."""

from __future__ import annotations

from random import Random

from tests.model.fake_postgres import FakePostgres
from tests.simulation.writers import KEYS

__all__ = ["Operators"]

DECISIONS = ("retry", "retry", "discard", "pause", "resume")


class Operators:
    """All of them. `discarded`: ids of events that nobody need publish any more."""

    def __init__(self, database: FakePostgres) -> None:
        self._database = database
        self.discarded: set[str] = set()

    def decide(self, chance: Random) -> None:
        """Whatever comes to mind, about a key, or without one about all."""
        decision, key = chance.choice(DECISIONS), chance.choice(KEYS)
        desk = self._database.desk
        match decision:
            case "retry":
                self._database.operate(desk.retry(key))
            case "discard":
                self._discard_first(key)
            case "pause":
                self._database.operate(desk.pause(key))
            case "resume":
                self._database.operate(desk.resume())

    def release_all(self) -> None:
        """What they do when all is well again."""
        self._database.operate(self._database.desk.retry(None).resume())

    def _discard_first(self, key: str | None) -> None:
        """The head of what waits of a key, if it is not on its way out."""
        for one in self._database.desk.parked:
            if one.event.key == key and one.release_window is None:
                self._database.operate(self._database.desk.discard([one.event.event_id]))
                self.discarded.add(one.event.event_id)
                return
