"""The story: runs complete, a relay publishes, its leader is killed half way, a proof ends it."""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import psycopg
from confluent_kafka import Consumer, TopicPartition
from sqlalchemy import Engine, create_engine

from relay.core.checker import History, check
from relay.demo import tables
from relay.demo.cast import Cast, Player, kill_in_flight
from relay.demo.display import Display
from relay.demo.figures import Figures, Watch
from relay.demo.ledger import Ledger
from relay.demo.proof import Proof
from relay.demo.runner import THREADS, Runner
from relay.demo.scene import BrokerKind, Scene, set_scene
from relay.postgres.connect import Connection, connect

_LOOK_EVERY_S: Final = 0.1
# How long a look may take longer while the right moment for the kill is waited for.
_AIM_S: Final = 0.25
# After so long a wait for the right moment, any moment must do.
_AIM_MAX_S: Final = 3.0
# A standby leads within 9 s; a proof that shows a loss is worth more than waiting on.
_DRAIN_MAX_S: Final = 30.0
_REQUEST_TIMEOUT_S: Final = 10.0


def play(runs: int, broker: BrokerKind, display: Display) -> Proof:
    """Play the whole demo, and give the proof. Every process is ended, every file removed.

    Args:
        runs: how many, 1 or more.
        broker: which broker of our own, where the environment names none.
        display: shows it.

    Raises:
        ServiceFailed: a service did not start, or a process ended that was not to end.
        RelayError: the given database cannot be reached or used.
        CoordinatorError: a run could not be completed.
    """
    with ExitStack() as stack:
        scene = stack.enter_context(set_scene(broker, display.say))
        cast = stack.enter_context(Cast(scene))
        display.say("two relays and a consumer start, each a process of its own")
        cast.until_ready()
        ledger = Ledger()
        engine = _engine(scene)
        stack.callback(engine.dispose)
        runner = Runner(engine, ledger, scene.topic, scene.name, runs)
        stack.callback(runner.stop)
        database = stack.enter_context(closing(connect(scene.database_url, "demo")))
        watch = Watch(database, ledger, cast, runs)
        kill = _Performance(runs, cast, runner, watch, database, scene, display).perform()
        display.say(f"drained; stopped: {_stop(cast)}")
        return _prove(scene, runs, ledger, database, kill)


@dataclass
class _Kill:
    """The kill in the middle, as it went. `at` is the database's time."""

    leader: Player
    at: Any
    killed_s: float
    takeover_s: float | None = None


class _Performance:
    """Everything between the first run and the last record."""

    def __init__(
        self,
        runs: int,
        cast: Cast,
        runner: Runner,
        watch: Watch,
        database: Connection,
        scene: Scene,
        display: Display,
    ) -> None:
        self._half = runs // 2
        self._cast = cast
        self._runner = runner
        self._watch = watch
        self._database = database
        self._scene = scene
        self._display = display
        self._kill: _Kill | None = None
        self._aim_until_s: float | None = None
        self._done_s: float | None = None

    def perform(self) -> _Kill | None:
        self._runner.start()
        self._display.say(
            f"one relay leads, the consumer has joined; {THREADS} threads execute the runs"
        )
        with closing(
            Consumer(self._scene.client() | {"group.id": f"{self._scene.name}.end"})
        ) as end:
            while not self._over(self._look(), end):
                threading.Event().wait(_LOOK_EVERY_S)
        self._look()
        return self._kill

    def _look(self) -> Figures:
        self._cast.require_running()
        figures = self._watch.look()
        self._display.show(figures)
        if self._kill is None and figures.committed >= self._half:
            self._try_to_kill()
        elif self._kill is not None and self._kill.takeover_s is None:
            self._look_for_takeover(self._kill)
        return figures

    def _try_to_kill(self) -> None:
        if (leader := self._watch.leader) is None:
            return
        if self._aim_until_s is None:
            self._aim_until_s = monotonic() + _AIM_MAX_S
        in_flight = kill_in_flight(leader, self._database, _AIM_S)
        if not in_flight:
            if monotonic() < self._aim_until_s:
                return
            leader.kill()
        (now,) = self._database.execute("select clock_timestamp()").fetchone() or (None,)
        self._kill = _Kill(leader, now, monotonic())
        moment = "events sent, place not yet saved" if in_flight else "at rest"
        self._display.say(f"kill -9 of the leader, {leader.name} (pid {leader.pid}): {moment}")

    def _look_for_takeover(self, kill: _Kill) -> None:
        if (leader := self._watch.leader) is not None and leader is not kill.leader:
            kill.takeover_s = monotonic() - kill.killed_s
            self._display.say(
                f"{leader.name} (pid {leader.pid}) leads after {kill.takeover_s:.1f} s"
            )

    def _over(self, figures: Figures, end: Consumer) -> bool:
        """Whether all is committed, taken over, published and read to the end; or will not be."""
        if not self._runner.done():
            return False
        if self._done_s is None:
            self._done_s = monotonic()
            self._display.say("all runs are committed")
        if monotonic() - self._done_s > _DRAIN_MAX_S:
            self._display.say(f"not drained in {_DRAIN_MAX_S:g} s")
            return True
        taken_over = self._kill is not None and self._kill.takeover_s is not None
        return taken_over and not figures.waiting and self._read_to_the_end(end)

    def _read_to_the_end(self, end: Consumer) -> bool:
        read = tables.next_offsets(self._database)
        for partition in range(self._scene.partitions):
            place = TopicPartition(self._scene.topic, partition)
            _, high = end.get_watermark_offsets(place, timeout=_REQUEST_TIMEOUT_S)
            if read.get(partition, 0) < high:
                return False
        return True


def _engine(scene: Scene) -> Engine:
    # libpq reads the address, so that every form of it works.
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(scene.database_url),
        pool_size=THREADS,
    )


def _stop(cast: Cast) -> str:
    """Stop the relays first: what they say at last is to be consumed as well."""
    players = [one for one in (*cast.relays, cast.consumer) if not one.killed]
    return ", ".join(f"{one.name} with exit code {one.stop()}" for one in players)


def _prove(
    scene: Scene, runs: int, ledger: Ledger, database: Connection, kill: _Kill | None
) -> Proof:
    taken, read = tables.counts(database)
    history = History(meant=ledger.meant(), log=tables.log(database))
    killed_at = None if kill is None else kill.at
    return Proof(
        runs=runs,
        tally=ledger.tally(),
        rows=tables.rows(database, tenant=scene.name, topic=scene.topic),
        dropped=read - taken,
        verdict=check(history, partitions={scene.topic: scene.partitions}),
        p50=tables.latency(database, 0.50, killed_at),
        p99=tables.latency(database, 0.99, killed_at),
        takeover_s=None if kill is None else kill.takeover_s,
        postgres=scene.postgres,
        broker=scene.broker,
    )
