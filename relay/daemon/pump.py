"""The publishing loop: performs what the machine wants, and tells it what came of it.

It decides nothing. What it adds to the machine is the world: that the lease may end between two
steps, and that the database may be lost in any of them. Either way the machine is told `Lost`, and
the cursor is read anew.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from coordinator.failpoints import hit
from relay.core import effects as do
from relay.core import inputs as told
from relay.core.cursor import Cursor
from relay.core.machine import Moment, Relay, step
from relay.core.parking import Parked
from relay.core.reached import Reached
from relay.daemon.clock import rest
from relay.daemon.readahead import ReadAhead
from relay.errors import InvariantBroken
from relay.ports import CursorStore, Sink, Wakeup

__all__ = ["Pump"]


class Pump:
    """One term of leading: made when the lease is granted, thrown away with it."""

    def __init__(
        self,
        store: CursorStore,
        pages: ReadAhead,
        sink: Sink,
        wakeup: Wakeup | None,
        trusted: Callable[[], bool],
        clock: Callable[[], float],
        stopping: threading.Event,
        drain_limit_s: float,
        on_begin: Callable[[do.Effect], None],
        on_step: Callable[[Relay, do.Effect, told.Input], None],
        on_wait: Callable[[float], None],
    ) -> None:
        """`wakeup` lets writers wake the relay; without it, it polls. `trusted`: whether the lease
        still is. `clock`: monotonic seconds.

        `on_begin` is shown what is about to be done, `on_step` every step, `on_wait` the seconds
        that an acknowledgement has been waited for; they are for those who watch.
        """
        self._store = store
        self._pages = pages
        self._sink = sink
        self._wakeup = wakeup
        self._trusted = trusted
        self._clock = clock
        self._stopping = stopping
        self._drain_limit_s = drain_limit_s
        self._on_begin = on_begin
        self._on_step = on_step
        self._on_wait = on_wait
        self._sent_at_s = 0.0
        self._drain_until_s: float | None = None

    def run(self, until_drained: bool = False) -> bool:
        """Publish until asked to stop, or, with `until_drained`, until nothing is pending.

        Returns whether nothing is.

        Raises Unreachable when the database is lost, Fenced when the term is over, and returns
        False at once when the lease is not trusted any more. Nothing is left queued in the client
        in any case.
        """
        relay, effect = step(Relay(), told.Elected(), self._moment())
        try:
            while not isinstance(effect, do.Stop | do.StandBy):
                if until_drained and _is_idle(effect):
                    return True
                self._on_begin(effect)
                outcome = self._perform(effect) if self._trusted() else told.Lost()
                self._on_step(relay, effect, outcome)
                relay, effect = step(relay, outcome, self._moment())
            return False
        finally:
            self._sink.discard()

    def _moment(self) -> Moment:
        return Moment(self._clock(), self._stopping.is_set(), self._wakeup is not None)

    def _perform(self, effect: do.Effect) -> told.Input:
        match effect:
            case do.Load():
                return self._store.load()
            case do.Recover():
                return self._recover()
            case do.OpenNext(cursor):
                return self._open(cursor)
            case do.Read(window, page, ahead):
                return told.PageRead(self._pages.read(window, page, ahead))
            case do.Send(rows, number, reached):
                return self._send(rows, number, reached)
            case do.Save(cursor, unblocks, parked):
                return self._save(cursor, unblocks, parked)
            case do.ReportBlocked(event_id, reason):
                self._store.report_blocked(event_id, reason)
                return told.Reported()
            case do.Rest(seconds):
                self._sink.serve()
                rest(seconds, unless=self._stopping)
                return told.Rested()
            case _ if self._wakeup is not None:
                return self._perform_sleep(effect, self._wakeup)
            case _:
                raise InvariantBroken(f"an effect that the pump cannot perform: {effect!r}")

    def _perform_sleep(self, effect: do.Effect, wakeup: Wakeup) -> told.Input:
        match effect:
            case do.LieDown():
                return told.Asleep() if wakeup.lie_down() else told.Disturbed()
            case do.Sleep(seconds):
                self._sink.serve()
                wakeup.sleep(seconds, self._stopping.is_set)
                return told.Woken()
            case do.Rise():
                wakeup.rise()
                return told.Risen()
            case _:
                raise InvariantBroken(f"an effect that the pump cannot perform: {effect!r}")

    def _open(self, cursor: Cursor) -> told.Input:
        hit("relay.before_look")
        opened = self._store.open_next(cursor)
        if isinstance(opened, told.Opened):
            if opened.rows is not None:
                self._pages.keep(opened.cursor.window, opened.pages[0], opened.rows)
            hit("relay.release_stored" if opened.cursor.releases else "relay.window_stored")
        return opened

    def _recover(self) -> told.Input:
        self._sent_at_s = self._clock()
        recovered = self._sink.recover(self._keep_going)
        hit("relay.recovered")
        return recovered

    def _send(self, rows: told.Rows, number: int, reached: Reached) -> told.Input:
        hit("relay.before_send")
        self._sent_at_s = self._clock()
        outcome = self._sink.send(rows, number, reached, self._keep_going)
        if isinstance(outcome, told.Acked):
            hit("relay.page_acked")
        return outcome

    def _save(self, cursor: Cursor, unblocks: bool, parked: tuple[Parked, ...]) -> told.Input:
        if parked:
            hit("relay.before_park")
        saved = self._store.save(cursor, unblocks=unblocks, parked=parked)
        if parked:
            hit("relay.parked")
        if cursor.releases:
            hit("relay.release_progress_stored")
        hit("relay.window_closed" if cursor.closed else "relay.progress_stored")
        return saved

    def _keep_going(self) -> bool:
        """While the lease is trusted and, after a request to stop, the drain limit is not over."""
        self._on_wait(self._clock() - self._sent_at_s)
        if not self._stopping.is_set():
            return self._trusted()
        if self._drain_until_s is None:
            self._drain_until_s = self._clock() + self._drain_limit_s
        return self._trusted() and self._clock() < self._drain_until_s


def _is_idle(effect: do.Effect) -> bool:
    return isinstance(effect, do.LieDown) or (isinstance(effect, do.Rest) and effect.idle)
