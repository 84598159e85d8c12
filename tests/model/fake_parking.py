"""The tables of parked events and of holds as one value: each change gives the next.

One entry of the log of windows stores it whole, so that it is there after a crash exactly where the
entry is. The topic is always the model's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from relay.core.inputs import Hold, Holds

if TYPE_CHECKING:
    from tests.model.fake_postgres import Event

__all__ = ["RELEASED_MAX", "TOPIC", "Desk", "HoldRow", "ParkedEvent"]

TOPIC = "outbox.model"
RELEASED_MAX = 3
"""So few that a release often takes several windows."""


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    event: Event
    release_window: int | None = None
    released: bool = False


@dataclass(frozen=True, slots=True)
class HoldRow:
    hold: Hold
    paused: bool = False
    taken: bool = True
    released: bool = False
    release_window: int | None = None

    def covers(self, event: Event) -> bool:
        return self.hold[1] is None or self.hold[1] == event.key


@dataclass(frozen=True, slots=True)
class Desk:
    """What is parked, and what is held."""

    parked: tuple[ParkedEvent, ...] = ()
    holds: tuple[HoldRow, ...] = ()

    def held_in(self, number: int) -> Holds:
        return frozenset(row.hold for row in self.holds if row.release_window != number)

    @property
    def news(self) -> bool:
        """Whether operators want something."""
        wanted = any(row.released or not row.taken for row in self.holds)
        paused = [row.hold for row in self.holds if row.hold[1] is None]
        return wanted or (not paused and any(one.released for one in self.parked))

    @property
    def releasing(self) -> list[Event]:
        """What the open window carries out."""
        return [one.event for one in self.parked if one.release_window is not None]

    # The leader

    def park(self, events: Iterable[Event], begun: Iterable[Hold]) -> Desk:
        parked = (*self.parked, *(ParkedEvent(event) for event in events))
        return Desk(parked, (*self.holds, *map(HoldRow, begun)))

    def put_back(self, positions: set[int], begun: Iterable[Hold]) -> Desk:
        parked = (
            replace(one, release_window=None) if one.event.position in positions else one
            for one in self.parked
        )
        return Desk(tuple(parked), (*self.holds, *map(HoldRow, begun)))

    def done(self, last_position: int) -> Desk:
        parked = (
            one
            for one in self.parked
            if one.release_window is None or one.event.position > last_position
        )
        return replace(self, parked=tuple(parked))

    def release(self, number: int) -> Desk:
        """The first RELEASED_MAX; a hold ends when what waits behind it is among them."""
        ended = [row for row in self.holds if row.released]
        stay = [replace(row, taken=True) for row in self.holds if not row.released]
        carried = [one.event.position for one in self.parked if _is_carried(one, ended, stay)]
        first = sorted(carried)[:RELEASED_MAX]
        parked = (
            replace(one, release_window=number, released=False)
            if one.event.position in first
            else one
            for one in self.parked
        )
        left = [self._at(position) for position in carried if position not in first]
        going_on = [
            replace(row, release_window=number) for row in ended if any(map(row.covers, left))
        ]
        return Desk(tuple(parked), (*stay, *going_on))

    def _at(self, position: int) -> Event:
        return next(one.event for one in self.parked if one.event.position == position)

    # Operators

    def retry(self, key: str | None) -> Desk:
        """Of a key, or of all that is refused."""
        holds = tuple(
            row if row.paused or key not in (None, row.hold[1]) else replace(row, released=True)
            for row in self.holds
        )
        parked = tuple(
            replace(one, released=True) if _stands_alone(one) and key is None else one
            for one in self.parked
        )
        return Desk(parked, holds)

    def discard(self, event_ids: Sequence[str]) -> Desk:
        """But for what is on its way; a hold that covers nothing any more is released."""
        parked = tuple(
            one
            for one in self.parked
            if one.event.event_id not in event_ids or one.release_window is not None
        )
        left = [one.event for one in parked]
        holds = tuple(
            row if row.paused or any(map(row.covers, left)) else replace(row, released=True)
            for row in self.holds
        )
        return Desk(parked, holds)

    def pause(self, key: str | None) -> Desk:
        row = HoldRow((TOPIC, key), paused=True, taken=False)
        return replace(self, holds=(*self.holds, row))

    def resume(self) -> Desk:
        holds = (replace(row, released=True) if row.paused else row for row in self.holds)
        return replace(self, holds=tuple(holds))


def _is_carried(one: ParkedEvent, ended: list[HoldRow], stay: list[HoldRow]) -> bool:
    wanted = one.released or any(row.covers(one.event) for row in ended)
    return wanted and not any(row.covers(one.event) for row in stay)


def _stands_alone(one: ParkedEvent) -> bool:
    return one.event.key is None and one.release_window is None
