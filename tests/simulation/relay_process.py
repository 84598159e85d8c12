"""One life of a relay process: the production elector, pump and rotation, in virtual time.

Only the wiring is rewritten here, that of relay/daemon/service.py: there it makes connections to
PostgreSQL and Kafka, here it puts the network of the simulation before the model's fakes. What the
daemon blocks on is replaced by its like in virtual time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import cast

from relay.core import effects as do
from relay.core import inputs as told
from relay.core.cursor import Cursor
from relay.core.fleet import Claim, Held, Renewed
from relay.core.lease import REQUEST_TIMEOUT_S
from relay.core.machine import Relay
from relay.core.pacing import retry_rest_s
from relay.core.retention import PASS_AGAIN_S, next_pass_s
from relay.daemon.elector import Elector
from relay.daemon.housekeeping import Keeping, RotationPass
from relay.daemon.membership import Membership
from relay.daemon.pump import Pump
from relay.daemon.readahead import ReadAhead
from relay.errors import Fenced, Unreachable
from tests.model.fake_broker import FakeBroker
from tests.model.fake_postgres import FakePostgres, Session
from tests.model.fake_rotation import MODEL_RING
from tests.model.fake_stores import FakeLeaseStore, FakePageSource
from tests.model.judgement import Violated
from tests.model.two_step_pump import Parts
from tests.simulation.blocking import EventInTime, PoolInTime, ThreadInTime
from tests.simulation.broker_client import BrokerState, SinkInTime
from tests.simulation.ledger import InFlight, Ledger
from tests.simulation.network import Line, Server, Weather, remote
from tests.simulation.scheduler import Machine

__all__ = ["PartsInTime", "RelayProcess", "Surroundings"]

STANDBY_LOOK_S = 0.5
DRAIN_LIMIT_S = 10.0
KEEPING = Keeping(retention_s=0.0)
"""Published events go at once: the ring of the model turns every few events."""


def monotonic(process: RelayProcess) -> float:
    return process.machine.monotonic_s()


@dataclass(frozen=True)
class PartsInTime(Parts):
    """What a process is made of.

    `clock`: by which it trusts its lease; `trusts`: whether it does, in a term.
    """

    clock: Callable[[RelayProcess], float] = monotonic
    make_elector: type[Elector] = Elector
    trusts: Callable[[Elector, int], bool] = Elector.trusted


@dataclass(frozen=True)
class Surroundings:
    """What a process finds, and what it is made of."""

    server: Server
    broker: FakeBroker
    broker_state: BrokerState
    weather: Weather
    ledger: Ledger
    chance: Random
    parts: PartsInTime
    note: Callable[..., None]


class RelayProcess:
    """One life.

    Attributes:
        wall_offset_s: by how much its wall clock, which nothing may trust, is off.
        stopped: whether it ended as it was asked to.
        idle_rests: how often in a row it has found nothing to publish.
    """

    def __init__(self, owner: str, machine: Machine, around: Surroundings) -> None:
        self.owner = owner
        self.machine = machine
        self.wall_offset_s = 0.0
        self.stopped = False
        self.idle_rests = 0
        self.in_flight = InFlight(around.ledger)
        self.line = Line(machine, around.server, around.weather, around.chance)
        self._around = around
        self._memory: list[Cursor] = []
        self._failures = 0
        self._acting = False
        self._relay = Relay()
        self._stopping = EventInTime(machine)
        self.elector = self._make_elector()
        machine.spawn(self._serve)

    @property
    def database(self) -> FakePostgres:
        """For planted bugs, which know no network."""
        return self._around.server.database

    @property
    def cursor(self) -> Cursor:
        """For planted bugs: where the machine is."""
        return self._relay.at

    @property
    def leads(self) -> bool:
        """Whether it acts as the leader: it has begun to, and trusts its lease still."""
        return self._acting and self.machine.alive and self.elector.await_term(0.0) is not None

    @property
    def is_ending(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """SIGTERM."""
        self._stopping.set()

    def kill(self) -> None:
        """SIGKILL: what is in flight may be repeated by the next leader."""
        self.machine.kill()
        self.in_flight.fault()

    def wall_clock_s(self) -> float:
        """The time of day: no two machines agree on it, and it jumps."""
        return self.machine.scheduler.now_s + self.wall_offset_s

    def _make_elector(self) -> Elector:
        server = self._around.server
        leases = remote(self.line, LeasesOf(server), REQUEST_TIMEOUT_S)
        parts = self._around.parts
        seat = Membership(self.owner, self.wall_clock_s).seat("the only one")
        elector = parts.make_elector(
            self.owner, leases, lambda: parts.clock(self), lambda _: None, lambda _: None, seat
        )
        elector._wake = cast(threading.Event, EventInTime(self.machine))
        elector._thread = cast(threading.Thread, ThreadInTime(self.machine, elector._keep))
        return elector

    def _serve(self) -> None:
        """See Service.run."""
        self.elector.start()
        while not self._stopping.is_set():
            term = self.elector.await_term(0.0)
            if term is None:
                self._stopping.wait(STANDBY_LOOK_S)
            else:
                self._serve_term(term)
        self.elector.stop()
        self.stopped = True

    def _serve_term(self, term: int) -> None:
        """See Service._serve_once."""
        try:
            self._lead(term)
        except Fenced:
            self._acting = False
            self.elector.resign(term)
        except Unreachable:
            self._acting = False
            self._failures += 1
            self._stopping.wait(retry_rest_s(self._failures))

    def _lead(self, term: int) -> None:
        """See Service._lead."""
        around, parts = self._around, self._around.parts
        self._acting = True
        session, epoch = self.line.call(self._connect, timeout_s=REQUEST_TIMEOUT_S)
        around.note(self.owner, "leads in term", term, epoch)
        over = EventInTime(self.machine)
        ThreadInTime(self.machine, lambda: self._keep_house(term, over)).start()
        store = parts.make_store(session, self.owner, term, parts.reading, self._memory)
        pages = ReadAhead(remote(self.line, FakePageSource(session, parts.reading)))
        pages._thread = cast(ThreadPoolExecutor, PoolInTime(self.machine))
        sink = SinkInTime(
            parts.make_sink(around.broker, store, self),
            around.broker,
            around.broker_state,
            self.machine,
            around.weather,
            around.chance,
            on_send=lambda: self._require_trust(term),
            on_arrival=lambda records, awaited: self.in_flight.went_out(records, awaited=awaited),
        )
        pump = Pump(
            store=remote(self.line, store),
            pages=pages,
            sink=sink,
            wakeup=None,
            trusted=lambda: parts.trusts(self.elector, term),
            clock=self.machine.monotonic_s,
            stopping=cast(threading.Event, self._stopping),
            drain_limit_s=DRAIN_LIMIT_S,
            on_begin=lambda _: None,
            on_step=self._follow,
            on_wait=lambda _: None,
        )
        try:
            pump.run()
        finally:
            self._acting = False
            self.idle_rests = 0
            self.in_flight.fault()
            over.set()

    def _require_trust(self, term: int) -> None:
        if not self.elector.trusted(term):
            raise Violated(f"L2: {self.owner} sends in term {term} without trust in it")

    def _connect(self) -> tuple[Session, str]:
        database = self._around.server.database
        return Session(database), database.epoch

    def _follow(self, relay: Relay, effect: do.Effect, outcome: told.Input) -> None:
        self._failures = 0
        self._relay = relay
        if isinstance(effect, do.Rest) and effect.idle:
            self.idle_rests += 1
        elif not isinstance(outcome, told.NothingAhead):
            self.idle_rests = 0
        if isinstance(outcome, told.Opened | told.Saved):
            self.in_flight.stored()
        elif isinstance(effect, do.Send) and not isinstance(outcome, told.Acked):
            self.in_flight.fault()
        if not isinstance(outcome, told.NothingAhead | told.Rested):
            self._around.note(self.owner, effect, outcome)

    def _keep_house(self, term: int, over: EventInTime) -> None:
        """See Housekeeping."""
        rest_s = PASS_AGAIN_S
        while not over.wait(rest_s):
            if self.elector.trusted(term):
                try:
                    rest_s = self._pass(term)
                except Fenced:
                    return
                except Unreachable:
                    rest_s = next_pass_s([])

    def _pass(self, term: int) -> float:
        session, _ = self.line.call(self._connect, timeout_s=REQUEST_TIMEOUT_S)
        rotation = self._around.parts.make_rotation(session, self.owner, term)
        found = RotationPass(remote(self.line, rotation), KEEPING, MODEL_RING, MODEL_RING).run()
        emptied = [leaf.slot for leaf, outcome in found.events]
        self._around.note(self.owner, "looked after the rings", emptied)
        return next_pass_s(found.outcomes)


class LeasesOf:
    """See LeaseStore: of whichever server answers at the moment; each request connects anew."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def acquire(self, owner: str, leads: int = 0, *, claims: bool = False) -> int | Held:
        return FakeLeaseStore(self._server.database).acquire(owner, leads, claims=claims)

    def renew(self, owner: str, term: int, leads: int = 1) -> Renewed | None:
        return FakeLeaseStore(self._server.database).renew(owner, term, leads)

    def release(self, owner: str) -> None:
        FakeLeaseStore(self._server.database).release(owner)

    def hand_over(self, owner: str, term: int, claim: Claim) -> bool:
        return FakeLeaseStore(self._server.database).hand_over(owner, term, claim)
