"""What the relay needs of the world, and what each part must guarantee.

Fakes and real parts pass the same tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from relay.core.blockers import Blockers
from relay.core.cursor import Cursor
from relay.core.fleet import Claim, Held, Renewed
from relay.core.inputs import Input, Loaded, NothingAhead, Opened, Rows, Saved
from relay.core.parking import Parked
from relay.core.reached import Reached
from relay.core.retention import Emptied, Milestone, Survey
from relay.core.snapshot import Snapshot
from relay.core.window import Page, Window

__all__ = [
    "AwaitedTopics",
    "CursorStore",
    "LeaseStore",
    "PageSource",
    "Rotation",
    "Sink",
    "Wakeup",
]


class CursorStore(Protocol):
    """The log of windows, written under one term.

    Every method raises Unreachable when the database is away.
    """

    def load(self) -> Loaded:
        """The newest entry, the pages that its window has left if it is open, and all that is
        held."""

    def open_next(self, cursor: Cursor) -> Opened | NothingAhead:
        """Take S; if it shows what `cursor` had not seen, store the window, synchronously.

        What operators want of parked events comes first, unless that was the last window too: a
        window with S = C, stored in the transaction that fixes which parked events it carries, at
        most RELEASED_MAX, and what is held meanwhile.

        S is taken and stored on one server connection in one transaction: a crash of the database
        between the two ends both. On return every event of the window is durable. Raises Fenced
        when another relay's term has begun.
        """

    def save(self, cursor: Cursor, *, unblocks: bool, parked: tuple[Parked, ...] = ()) -> Saved:
        """Store `cursor` as the next entry, synchronously.

        In the same transaction `parked` are copied, or put back where the window releases, their
        holds are begun, and what a window that releases has passed otherwise is parked no longer.

        Raises Fenced when another relay's term has begun.
        """

    def report_blocked(self, event_id: str, reason: str) -> None:
        """Let `relay status` show which event the broker refuses."""


class AwaitedTopics(Protocol):
    """Topics that are missing at the broker, and whose events wait (core/parking.py).

    Every method raises Unreachable when the database is away.
    """

    def missing(self) -> frozenset[str]:
        """All that are waited for."""

    def release(self, topics: Iterable[str]) -> None:
        """Ask the leader to publish the events of `topics`, which are there now."""


class PageSource(Protocol):
    """Events of stored windows."""

    def read(self, window: Window, page: Page) -> Rows:
        """The events of `window` within `page`, by position; the same ones at every call.

        Of a window that releases, those that no entry has passed yet.

        Raises Unreachable.
        """


class Sink(Protocol):
    """Where events go."""

    def recover(self, keep_going: Callable[[], bool]) -> Input:
        """Shut out every earlier producer, then say what is committed: Recovered, Doubtful or Lost.

        In this order: an earlier producer could commit after it was asked. A sink that publishes
        at least once has nothing to shut out and answers Recovered(None). `keep_going` as in
        `send`.
        """

    def send(
        self, rows: Rows, number: int, reached: Reached, keep_going: Callable[[], bool]
    ) -> Input:
        """Hand over `rows` in order and wait for the outcome: Acked, Doubtful, Refused, or Lost.

        A sink that publishes exactly once commits `reached` with them, all or nothing, and raises
        Fenced when a later producer of this outbox has recovered.

        Acked only when the broker acknowledged all of them. On any other outcome nothing of them
        arrives later than this returns, except what a broker had already accepted. `keep_going` is
        asked before the first event is handed over, and ten times a second while waiting; once it
        says no, the rest is given up and the answer is Lost.
        """

    def serve(self) -> None:
        """Let the client say what it has to say; to be called while nothing is sent."""

    def discard(self) -> None:
        """Throw away whatever is still queued or in flight."""


class LeaseStore(Protocol):
    """The lease row. Every method raises Unreachable when the database is away.

    `owner` is unique to one life of one candidacy; `leads` is how many outboxes its process leads
    in all (fleet.py).
    """

    def acquire(self, owner: str, leads: int = 0, *, claims: bool = False) -> int | Held:
        """A new term, or who keeps it from this owner: another whose lease lasts.

        With `claims` that one is asked to hand the outbox over, unless one that leads as few has
        asked already.
        """

    def renew(self, owner: str, term: int, leads: int = 1) -> Renewed | None:
        """Keep the lease, if it is still this owner's in this term; None if it is not."""

    def release(self, owner: str) -> None:
        """Give the lease back if this owner holds it."""

    def hand_over(self, owner: str, term: int, claim: Claim) -> bool:
        """Let nobody but the claimant have the lease for HEIR_TAKES_WITHIN_S, then anybody.

        Whether this owner held it in this term; else nothing is changed.
        """


class Wakeup(Protocol):
    """Sleep that a writer ends. Every method raises Unreachable when the database is away."""

    def lie_down(self) -> bool:
        """Take the sleep lock, without waiting; whether it was free.

        If it was, every event that is not visible by now is of a writer who notifies at its commit.
        """

    def sleep(self, seconds: float, stopping: Callable[[], bool]) -> bool:
        """Wait for a writer's notification, and for `seconds` at most; whether one came.

        One that came since `lie_down` counts. Ends within 0.1 s once `stopping()` is true.
        """

    def rise(self) -> None:
        """Give the sleep lock back: writers who begin from now on do not notify."""


class Rotation(Protocol):
    """The rings' leaves, emptied under one term. Every method raises Unreachable."""

    def mark(self, every_s: float) -> None:
        """Set down what is published as of now, if the newest milestone is older than `every_s`."""

    def survey(self, retention_s: float) -> Survey:
        """How the rings stand."""

    def forget_before(self, milestone: Milestone) -> None:
        """Drop the milestones that are older."""

    def empty_events(self, slot: int, old: Snapshot | None) -> Emptied:
        """Empty a leaf of events in which each is published and, with `old`, seen by it as well.

        Waits for no lock, so no writer ever queues behind it. What is published is read under the
        lock. Raises Fenced when another relay's term has begun.
        """

    def empty_log(self, slot: int, keep_s: float) -> Emptied:
        """Empty a leaf of the log of windows that has neither the newest entry, nor the C before
        it, nor one younger than `keep_s`.

        Raises Fenced when another relay's term has begun.
        """

    def blockers(self, after_s: float) -> Blockers:
        """Who has held the events for longer than `after_s`."""
