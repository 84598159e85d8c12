"""Wires the parts: stand for election, lead while the lease lasts, step down, begin again."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial

from relay.address import Place
from relay.core import effects as do
from relay.core import inputs as told
from relay.core.checkup import named_briefly
from relay.core.machine import Relay
from relay.core.manner import Delivery, EnvelopeName, Manner
from relay.core.pacing import retry_rest_s
from relay.daemon.clock import monotonic_s, rest
from relay.daemon.elector import Elector
from relay.daemon.housekeeping import Housekeeping, Keeping
from relay.daemon.membership import Seat
from relay.daemon.narrator import Narrator
from relay.daemon.pump import Pump
from relay.daemon.readahead import ReadAhead
from relay.daemon.shutdown import DRAIN_LIMIT_S, Stopping
from relay.errors import EventsAwaitTopics, Fenced, Unreachable
from relay.kafka.sink import KafkaSink
from relay.kafka.topics import Topics
from relay.observe.logs import Logger, log
from relay.observe.tracing import traced
from relay.observe.vitals import Vitals
from relay.postgres.cluster import Epoch, check_schema, enter_epoch, outbox_name, refuse_hazards
from relay.postgres.connect import Connection, connect
from relay.postgres.cursor_store import PostgresCursorStore
from relay.postgres.lease_store import PostgresLeaseStore
from relay.postgres.parking import AwaitedTopics
from relay.postgres.rotation import PostgresRotation
from relay.postgres.status_reader import read_status
from relay.postgres.wakeup import PostgresWakeup, check_wakeup
from relay.postgres.window_reader import PageReader

__all__ = ["Service"]

STANDBY_LOOK_S = 0.5
"""How often a standby sees whether it was elected or asked to stop."""

WAITING = "waiting for the database"


class Service:
    """One outbox, served by this process.

    Holds three connections to the database while it leads, and another for a moment when it looks
    after the rings; one while it stands by. Where writers wake it, it is one more while it leads.
    """

    def __init__(
        self,
        place: Callable[[], Place],
        make_sink: Callable[[Callable[[str], None]], KafkaSink],
        topics: Topics,
        keeping: Keeping,
        stopping: Stopping,
        seat: Seat,
        vitals: Vitals,
        *,
        listening: bool,
        delivery: Delivery,
        envelope: EnvelopeName,
        logger: Logger = log,
    ) -> None:
        """`place` is asked for each connection, as its password may have been changed.

        `make_sink` is handed what is to be told what the client says of its connections.

        `seat`: what the outboxes of this process know of each other; `vitals` is told how this
        one gets on; `logger` names it.

        `listening`: it sleeps, and writers wake it; else it polls. `delivery` and `envelope`: what
        the sinks made by `make_sink` do, which is told of.
        """
        self._place = place
        self._listening = listening
        self._keeping = keeping
        self._log = logger
        self._narrator = Narrator(logger)
        self._sink = make_sink(self._narrator.broker_trouble)
        self._topics = topics
        self._stopping = stopping
        self._vitals = vitals
        vitals.client = self._sink.client
        self._leases = PostgresLeaseStore(place)
        owner = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(3)}"
        self._elector = Elector(
            owner, self._leases, monotonic_s, self._lease_request_failed, vitals.answered, seat
        )
        self._owner = owner
        self._manner = Manner.of(owner, delivery, envelope)
        self._failures = 0

    def run(self, until_drained: bool) -> None:
        """Serve until asked to stop, or, with `until_drained`, until nothing is pending.

        Raises SchemaMismatch, UnsafeDatabase or BadConfiguration, which a restart will not heal.
        Everything else is waited out.
        """
        # Said first: the name of a server may take long to resolve, and an address to time out.
        self._log.info("starting", owner=self._owner, waits_for="the database")
        self._vitals.says(WAITING)
        try:
            if self._database_ready():
                self._stand(until_drained)
        finally:
            self._vitals.ends()

    def _stand(self, until_drained: bool) -> None:
        """Stand for election, and lead whenever elected."""
        self._elector.start()
        self._log.info("standby", owner=self._owner)
        try:
            while not self._stopping.is_set():
                if self._serve_once(until_drained) and until_drained and self._drained():
                    return
        finally:
            if self._elector.stop():
                self._leases.close()
            self._log.info("stopped", owner=self._owner)

    def _drained(self) -> bool:
        """Whether it could be seen that all is out.

        Raises EventsAwaitTopics: set aside they are not pending, and not published either.
        """
        try:
            with closing(connect(self._place(), "status")) as connection:
                missing = AwaitedTopics(connection).missing()
        except Unreachable as problem:
            self._back_off(problem)
            return False
        if missing:
            named = named_briefly(missing)
            raise EventsAwaitTopics(
                f"drained, but for events that wait for topics which do not exist: {named}; "
                "make them, or run with --create-topics, and run this again"
            )
        self._log.info("drained")
        return True

    def _database_ready(self) -> bool:
        """Wait until the database answers, and see that it is fit to publish from.

        Also on a standby: a fault that shows only when it takes over would end both relays in one
        night. False if asked to stop.
        """
        while not self._stopping.is_set():
            try:
                with closing(connect(self._place(), "check")) as connection:
                    self._check(connection)
                return True
            except Unreachable as problem:
                self._back_off(problem)
        return False

    def _serve_once(self, until_drained: bool) -> bool:
        """Lead for as long as the lease lasts; whether nothing is pending any more."""
        term = self._elector.await_term(STANDBY_LOOK_S)
        try:
            if term is None:
                self._vitals.stands_by()
                self._sink.serve()
                return until_drained and self._nothing_pending()
            return self._lead(term, until_drained)
        except Fenced as problem:
            self._log.warning("stepped_down", term=term, reason=str(problem))
            self._vitals.was_fenced()
            self._elector.resign(term or 0)
        except Unreachable as problem:
            self._back_off(problem)
        return False

    def _lead(self, term: int, until_drained: bool) -> bool:
        with self._stopping.followed() as leaving:
            self._elector.when_to_leave(leaving.set)
            drained = self._publish(term, leaving, until_drained)
            stopped = leaving.is_set()
        if drained or self._stopping.is_set():
            self._vitals.gave_back()
            return drained
        if not self._elector.trusted(term):
            reason = "the lease is not trusted any more"
            self._log.warning("stepped_down", term=term, reason=reason)
        elif stopped and (heir := self._elector.hand_over(term)):
            self._vitals.gave_back()
            self._log.info("handed_over", term=term, to=heir)
        return False

    def _publish(self, term: int, leaving: threading.Event, until_drained: bool) -> bool:
        with (
            closing(connect(self._place(), "cursor")) as connection,
            closing(PageReader(self._place(), self._manner)) as reader,
            closing(ReadAhead(reader)) as pages,
            closing(self._housekeeping(term)) as housekeeping,
            self._wakeup() as wakeup,
        ):
            epoch = self._admitted(connection)
            outbox, wakes = outbox_name(connection), "listen" if self._listening else "poll"
            if epoch.restored_upto is not None:
                self._log.warning("restored", upto_position=epoch.restored_upto)
            leading = {"term": term, "epoch": epoch.id, "outbox_id": outbox, "wakeup": wakes}
            leading |= {"delivery": self._manner.delivery, "envelope": self._manner.envelope}
            self._log.info("leading", **leading, owner=self._owner)
            self._vitals.leads(term, partial(self._elector.trusted, term))
            self._sink.enter(epoch.id, outbox)
            housekeeping.start()
            return self._pump(term, connection, pages, leaving, wakeup).run(until_drained)

    def _admitted(self, connection: Connection) -> Epoch:
        """The epoch, once the database is found fit to publish from."""
        self._check(connection)
        return enter_epoch(connection)

    def _check(self, connection: Connection) -> None:
        check_schema(connection)
        refuse_hazards(connection)
        if self._listening:
            check_wakeup(connection)

    @contextmanager
    def _wakeup(self) -> Iterator[PostgresWakeup | None]:
        if not self._listening:
            yield None
            return
        with closing(PostgresWakeup(self._place())) as wakeup:
            yield wakeup

    def _pump(
        self,
        term: int,
        connection: Connection,
        pages: ReadAhead,
        leaving: threading.Event,
        wakeup: PostgresWakeup | None,
    ) -> Pump:
        return Pump(
            store=PostgresCursorStore(connection, self._owner, term),
            pages=pages,
            sink=traced(self._sink),
            wakeup=wakeup,
            trusted=lambda: self._elector.trusted(term),
            clock=monotonic_s,
            stopping=leaving,
            drain_limit_s=DRAIN_LIMIT_S,
            on_begin=self._vitals.begins,
            on_step=self._tell,
            on_wait=self._tell_wait,
        )

    def _housekeeping(self, term: int) -> Housekeeping:
        @contextmanager
        def open_stores() -> Iterator[tuple[PostgresRotation, AwaitedTopics]]:
            with closing(connect(self._place(), "housekeeping")) as connection:
                yield PostgresRotation(connection, self._owner, term), AwaitedTopics(connection)

        return Housekeeping(
            open_stores,
            self._keeping,
            self._topics.there,
            trusted=lambda: self._elector.trusted(term),
            on_pass=self._narrator.housekeeping,
            on_trouble=self._narrator.housekeeping_failed,
        )

    def _nothing_pending(self) -> bool:
        with closing(connect(self._place(), "status")) as connection:
            return read_status(connection).pending == 0

    def _lease_request_failed(self, reason: str) -> None:
        self._vitals.unanswered(reason)
        self._narrator.lease_request_failed(reason)

    def _tell(self, relay: Relay, effect: do.Effect, outcome: told.Input) -> None:
        self._failures = 0
        releases = relay.cursor is not None and relay.cursor.releases
        self._vitals.step(effect, outcome, releases=releases)
        self._narrator.step(relay, effect, outcome)

    def _tell_wait(self, seconds: float) -> None:
        self._vitals.waits(seconds)
        self._narrator.waiting(seconds)

    def _back_off(self, problem: Unreachable) -> None:
        self._failures += 1
        self._vitals.troubled(str(problem))
        self._vitals.says(WAITING, ready=self._vitals.ready)
        rest_s = retry_rest_s(self._failures)
        self._narrator.unreachable(str(problem), rest_s)
        rest(rest_s, unless=self._stopping)
