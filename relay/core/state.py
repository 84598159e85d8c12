"""What the relay is at one moment: the values that its table (machine.py) steps between."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from relay.core import inputs as told
from relay.core.cursor import Cursor
from relay.core.parking import Parked
from relay.core.reached import Reached, word
from relay.core.window import CHUNK_BITS, Page
from relay.errors import IllegalTransition

__all__ = ["PAGE_EVENTS", "Moment", "Relay", "State"]

PAGE_EVENTS = 1 << CHUNK_BITS
"""The most that a page holds, and so the most that is sent at once."""


class State(Enum):
    """What the relay waits for."""

    STANDBY = "another relay leads, or none does yet"
    LOADING = "reads the cursor"
    RECOVERING = "asks what the broker has committed"
    LOOKING = "asks what has become visible"
    READING = "reads a page"
    SENDING = "waits for the broker's acknowledgement"
    SAVING = "stores how far it got inside the window"
    REPORTING = "stores which event the broker refuses"
    RETRYING = "rests before the same events are sent again"
    CLOSING = "stores that the window is published"
    RESTING = "nothing to publish"
    DOZING = "has writers wake it from now on"
    SLEEPING = "nothing to publish, and a writer will wake it"
    RISING = "has writers wake it no more"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Moment:
    """What the shell knows at a step.

    now_s      monotonic seconds
    stopping   whether it was asked to stop
    listening  whether writers can wake it
    """

    now_s: float
    stopping: bool = False
    listening: bool = False


@dataclass(frozen=True, slots=True)
class Relay:
    """Everything the relay remembers. Immutable, so a refused input has changed nothing."""

    state: State = State.STANDBY
    cursor: Cursor | None = None
    pages: tuple[Page, ...] = ()
    rows: told.Rows = ()
    reached: Reached | None = None
    aside: tuple[Parked, ...] = ()
    held: told.Holds = frozenset()
    at_once: int = PAGE_EVENTS
    attempts: int = 0
    reported: bool = False
    rest_s: float = 0.0
    looked_at_s: float = 0.0
    opened_at_s: float = 0.0
    busy_until_s: float = 0.0
    asleep: bool = False

    @property
    def at(self) -> Cursor:
        """The cursor, which every state but STANDBY and LOADING has."""
        if self.cursor is None:
            raise IllegalTransition(f"{self.state.name} without a cursor")
        return self.cursor

    @property
    def slice(self) -> told.Rows:
        """What is sent at once of what was read."""
        return self.rows[: self.at_once]

    @property
    def word(self) -> Reached:
        """What a transaction that publishes the slice says of the window."""
        aside = (told.position(one.row) for one in self.aside)
        return word(self.at.window_id, self.slice, aside, self.at.last_position, self.reached)
