"""What the publishing loops say of themselves, for the probes, the metrics and the service manager.

A loop beats whenever it gets on: a step, a look, an attempt to reach what is away, a moment of
waiting for an acknowledgement. So a relay that waits for an absent database or broker beats as one
that publishes does, and only a loop that stands still falls silent.

It costs a loop a clock and a few assignments for each page, and nothing for each event. There is no
lock: each figure has one thread that writes it, and whoever reads sees it as of some moment.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from relay.core import effects as do
from relay.core import inputs as told
from relay.core.vitals import Facts, progress_or_idle
from relay.observe.histogram import LAG_S, PUBLISH_S, Histogram

__all__ = ["FAILURES", "AllVitals", "Client", "Vitals"]

FAILURES = ("in_doubt", "refused", "awaited")
"""Why a page was not acknowledged.

in_doubt   some of it may have arrived; all of it is sent again
refused    the broker will not take an event, its topic, or a batch as a whole
awaited    the topic is missing, or no topic may be written: it is expected to pass
"""

DATABASE_SILENT_S = 10.0
"""The lease is asked for every 2 s; a request that takes so long hangs."""

DOUBTED_AFTER_S = 5.0
"""A page that waits so long for its acknowledgement puts the broker in doubt."""


class Client(Protocol):
    """What can be asked of the broker's client, in any thread."""

    broker_up: bool | None
    """Whether a broker answered when last heard of; None: not heard of yet."""

    @property
    def queued(self) -> int:
        """Events that it has not told the outcome of."""

    @property
    def handed(self) -> tuple[int, int]:
        """Events of the page that was handed over last, and the bytes of their payloads."""

    @property
    def in_flight(self) -> tuple[int, int]:
        """The same while its outcome is not known, else none."""

    def ask_broker(self) -> None:
        """See whether one answers, within a second."""


class Vitals:
    """One outbox's; written by its loop and its elector, read by other threads."""

    def __init__(
        self,
        name: str,
        changed: threading.Event,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        """`changed` is set whenever the loop says something new; `clock` is monotonic, `wall` in
        seconds since 1970.
        """
        self.name = name
        self.does = ""
        """What the loop does, in words; empty while there is none: its outbox failed, or ended."""
        self.ready = False
        """Whether it stands by or leads."""
        self.beaten_at_s = self._well_at_s = self._stepped_at_s = clock()
        self.client: Client | None = None
        self.term = 0
        self.published_at_s: float | None = None
        self.published_events = self.published_bytes = self.parked_events = 0
        self.failures = dict.fromkeys(FAILURES, 0)
        self.leases_lost = self.fenced = self.takeovers = 0
        self.publish = Histogram(PUBLISH_S)
        self.commit_to_ack = Histogram(LAG_S)
        self._changed, self._clock, self._wall = changed, clock, wall
        self._trouble = ""
        self._leads: Callable[[], bool] | None = None
        self._answered_at_s: float | None = None
        self._waited_s, self._queued = 0.0, 0
        self._plans = False

    def beat(self) -> None:
        """It gets on."""
        self.beaten_at_s = self._clock()

    def says(self, does: str, *, ready: bool = False) -> None:
        """It does something else from here on; nothing is told twice."""
        self.beat()
        if ready and not self.ready:
            self._well_at_s = self.beaten_at_s
        if (does, ready) != (self.does, self.ready):
            self.does, self.ready = does, ready
            self._changed.set()

    def ends(self) -> None:
        """There is no loop any more, so none is missed."""
        self._leads = None
        self.says("")

    def stands_by(self) -> None:
        """It does not lead. A term that it led until now, it has lost."""
        self._lost()
        self.says("standby", ready=True)

    def leads(self, term: int, trusted: Callable[[], bool]) -> None:
        """It leads, as long as the lease is trusted; also after a failure within the term."""
        if self._leads is None or term != self.term:
            self._lost()
            self.takeovers += 1
        self.term, self._leads = term, trusted
        self._stepped_at_s = self._clock()
        self.says(f"leading, term {term}", ready=True)

    def gave_back(self) -> None:
        """It ended its term of its own will."""
        self._leads = None

    def was_fenced(self) -> None:
        """Somebody else's term has begun."""
        self.fenced += 1
        self._leads = None

    def troubled(self, problem: str) -> None:
        """`problem`, without secrets, is in the way until something gets on again."""
        self._trouble = problem

    def begins(self, effect: do.Effect) -> None:
        """The leader is about to do this.

        Where a window's events lie is one statement, however many there are: a minute for tens of
        millions. As long as the database answers the elector meanwhile, that is no loop that hangs;
        a restart would begin the same statement anew, for ever.
        """
        self._plans = isinstance(effect, do.Load | do.OpenNext)

    def step(self, effect: do.Effect, outcome: told.Input, *, releases: bool) -> None:
        """The leader made a step; `releases`: of a window of events that were set aside."""
        self.beat()
        self._plans = False
        took_s = self.beaten_at_s - self._stepped_at_s
        self._stepped_at_s = self.beaten_at_s
        self._waited_s, self._queued = 0.0, 0
        if progress_or_idle(outcome):
            self._well()
        match effect, outcome:
            case do.Send(rows), told.Acked():
                self._published(rows, took_s, releases=releases)
            case _, told.Doubtful(reason):
                if self.client and self.client.broker_up:
                    self.client.broker_up = None  # so that it is asked
                self._failed("in_doubt", f"delivery is in doubt: {reason}")
            case _, told.Refused(reason, passing=passing):
                self._failed("awaited" if passing else "refused", f"refused: {reason}")
            case do.Save(parked=parked), told.Saved() if parked:
                self.parked_events += len(parked)

    def waits(self, seconds: float) -> None:
        """The leader has waited for an acknowledgement for so long; fewer queued is progress."""
        self.beat()
        queued = self.client.queued if self.client else 0
        if self._waited_s < seconds and queued < self._queued:
            self._well_at_s = self.beaten_at_s
        self._waited_s, self._queued = seconds, queued
        if seconds >= DOUBTED_AFTER_S:
            self._trouble = "the broker does not acknowledge"

    def answered(self, holds: bool) -> None:
        """The database answered the elector; whether this relay `holds` the lease."""
        self._answered_at_s = self._clock()
        if holds and self._plans:
            self.beat()
        if not holds:
            self._well()

    def unanswered(self, problem: str) -> None:
        """It did not."""
        self._answered_at_s = None
        self.troubled(problem)

    @property
    def facts(self) -> Facts:
        """As they are to be judged."""
        return Facts(self.does, self.ready, self.beaten_at_s, self._well_at_s, self._trouble)

    @property
    def leading(self) -> bool:
        """Whether it leads and may trust that."""
        return self._leads is not None and self._leads()

    @property
    def database_up(self) -> bool:
        """Whether the database answered when it was last asked for the lease."""
        at_s = self._answered_at_s
        return at_s is not None and self._clock() - at_s <= DATABASE_SILENT_S

    def broker_away(self) -> bool:
        """Whether it is known that no broker answers."""
        return self.client is not None and self.client.broker_up is False

    def ask_broker(self) -> None:
        """Ask whether a broker answers, unless that is known."""
        client = self.client
        if client and (not client.broker_up or self._waited_s >= DOUBTED_AFTER_S):
            client.ask_broker()

    def _well(self) -> None:
        self._well_at_s = self._clock()
        self._trouble = ""

    def _lost(self) -> None:
        if self._leads is not None:
            self.leases_lost += 1
        self._leads = None

    def _published(self, rows: told.Rows, took_s: float, *, releases: bool) -> None:
        self.published_events += len(rows)
        self.published_bytes += self.client.handed[1] if self.client else 0
        self.published_at_s = self.beaten_at_s
        self.publish.observe(took_s)
        # Of the first event, which waited longest. Those that were set aside waited for a person.
        if rows and not releases:
            with suppress(ValueError, OverflowError):  # `infinity`, or a year that Python has not
                lag_s = self._wall() - datetime.fromisoformat(rows[0][7]).timestamp()
                self.commit_to_ack.observe(max(0.0, lag_s))

    def _failed(self, reason: str, trouble: str) -> None:
        self.failures[reason] += 1
        self.troubled(trouble)


class AllVitals:
    """Those of all outboxes of this process."""

    def __init__(
        self,
        names: Iterable[str],
        changed: threading.Event,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        """See Vitals. `names` of the outboxes: empty where there is only one."""
        self.changed = changed
        self._clock = clock
        self._all = {name: Vitals(name, changed, clock, wall) for name in names}
        self._vouched_at_s = clock()

    def __iter__(self) -> Iterator[Vitals]:
        return iter(self._all.values())

    def of(self, name: str) -> Vitals:
        """Those of one outbox."""
        return self._all[name]

    @property
    def ready(self) -> bool:
        """Whether any outbox is stood by for, or led: one that is away holds up no other."""
        return any(one.ready for one in self)

    @property
    def text(self) -> str:
        """What they do, each with its name where it has one."""
        said = [(one.name, one.does) for one in self if one.does]
        return "; ".join(f"{name}: {does}" if name else does for name, does in said)

    def beaten(self) -> bool:
        """Whether every loop has got on since the last time that this was so."""
        asked_at_s = self._clock()
        if any(one.does and one.beaten_at_s <= self._vouched_at_s for one in self):
            return False
        self._vouched_at_s = asked_at_s
        return True
