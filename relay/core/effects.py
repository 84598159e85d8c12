"""What the relay wants done: one effect a step, each answered by one input."""

from __future__ import annotations

from dataclasses import dataclass

from relay.core.cursor import Cursor
from relay.core.inputs import Rows
from relay.core.parking import Parked
from relay.core.reached import Reached
from relay.core.window import Page, Window

__all__ = [
    "Effect",
    "LieDown",
    "Load",
    "OpenNext",
    "Read",
    "Recover",
    "ReportBlocked",
    "Rest",
    "Rise",
    "Save",
    "Send",
    "Sleep",
    "StandBy",
    "Stop",
]


@dataclass(frozen=True, slots=True)
class Effect:
    """Any of the below."""


@dataclass(frozen=True, slots=True)
class StandBy(Effect):
    """Throw the producer away and wait for the lease. Answer: Elected."""


@dataclass(frozen=True, slots=True)
class Load(Effect):
    """Read the newest entry of the log of windows. Answer: Loaded."""


@dataclass(frozen=True, slots=True)
class Recover(Effect):
    """Shut out every earlier producer of this outbox, then ask what the broker has committed.

    Answer: Recovered, Doubtful or Lost.
    """


@dataclass(frozen=True, slots=True)
class OpenNext(Effect):
    """See what `cursor` does not see; if that is anything, store the window that holds it.

    What operators want of the parked events comes in windows of its own, in turns with the others.

    Answer: Opened, NothingAhead.
    """

    cursor: Cursor


@dataclass(frozen=True, slots=True)
class Read(Effect):
    """Read `page` of `window`; `ahead` will be asked for next and may be fetched meanwhile.

    Answer: PageRead.
    """

    window: Window
    page: Page
    ahead: Page | None


@dataclass(frozen=True, slots=True)
class Send(Effect):
    """Hand `rows` over in order, each with its place in window `number`.

    With them all of the window up to `reached` is published.

    Answer: Acked, Doubtful, Refused or Lost.
    """

    rows: Rows
    number: int
    reached: Reached


@dataclass(frozen=True, slots=True)
class Save(Effect):
    """Store `cursor` as the next entry; `unblocks`: no event is waited at any more. Answer: Saved.

    With it, in the same transaction, copies of the events that it passes without an
    acknowledgement, `parked`; of a window that releases, what it passes is parked no longer.
    """

    cursor: Cursor
    unblocks: bool = False
    parked: tuple[Parked, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportBlocked(Effect):
    """Show which event the broker refuses, and why. Answer: Reported."""

    event_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rest(Effect):
    """Do nothing for so many seconds, or until asked to stop. Answer: Rested.

    `idle` says that there is nothing to publish.
    """

    seconds: float
    idle: bool = False


@dataclass(frozen=True, slots=True)
class LieDown(Effect):
    """Have every writer who begins from now on wake this relay: take the sleep lock.

    There is nothing to publish. Answer: Asleep, Disturbed.
    """


@dataclass(frozen=True, slots=True)
class Sleep(Effect):
    """Do nothing until a writer wakes this relay, for so many seconds, or until asked to stop.

    Answer: Woken.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Rise(Effect):
    """Writers need not wake this relay any more: give the sleep lock back. Answer: Risen."""


@dataclass(frozen=True, slots=True)
class Stop(Effect):
    """All that can be finished is; give the lease back. No answer."""
