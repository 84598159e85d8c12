"""The run runner: threads that do the work of runs and complete each through one coordinator."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from coordinator.domains.facade import RunStatus
from coordinator.domains.trace import TraceFacade
from coordinator.event import OutboxEvent
from coordinator.runs.completion import RunCompletionTransaction
from relay.demo.ledger import Ledger
from relay.demo.work import do_work

THREADS: Final = 8
# The runs go on while the standby waits for the dead leader's lease to end (6 s), so that people
# see the lag rise and fall: all together take some 12 s, however many there are.
_ALL_RUNS_S: Final = 11.0
_PACE_MAX_S: Final = 0.5
_PACE_MIN_S: Final = 0.02
_UNTRACED_EVERY: Final = 5
_ABANDONED_EVERY: Final = 7


class Runner:
    """Executes `runs` runs of one tenant, from `start` to `stop`.

    Args:
        engine: holds as many connections as there are threads.
        ledger: is told what is meant and how it ended.
        topic: of the runs' events.
        tenant: new for each demo, so that no other run is counted in.
        runs: how many.
    """

    def __init__(self, engine: Engine, ledger: Ledger, topic: str, tenant: str, runs: int) -> None:
        self._engine = engine
        self._ledger = ledger
        self._topic = topic
        self._tenant = tenant
        self._runs = runs
        self._pace_s = min(max(_ALL_RUNS_S * THREADS / runs, _PACE_MIN_S), _PACE_MAX_S)
        # One for all threads: it keeps nothing of a call.
        self._coordinator = RunCompletionTransaction(engine, publisher=ledger, topic=topic)
        self._stopping = threading.Event()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="runner")
        self._futures: list[Future[None]] = []

    def start(self) -> None:
        """Begin; returns at once."""
        self._futures = [self._threads.submit(self._complete, n) for n in range(self._runs)]

    def done(self) -> bool:
        """Whether every run is committed.

        Raises:
            CoordinatorError: a run could not be completed.
        """
        ended, going_on = wait(self._futures, timeout=0, return_when=FIRST_EXCEPTION)
        for future in ended:
            future.result()
        return not going_on

    def stop(self) -> None:
        """Begin no other run, and wait for those that are under way: at most one's time limit."""
        self._stopping.set()
        self._threads.shutdown(cancel_futures=True)

    def _complete(self, number: int) -> None:
        run_id = f"{self._tenant}.{number:06d}"
        if number % _ABANDONED_EVERY == _ABANDONED_EVERY // 2:
            self._abandon(run_id)
        trace_id = None if number % _UNTRACED_EVERY == 0 else self._start_trace(run_id)
        ending = do_work(number, self._pace_s)
        if self._stopping.is_set():
            return
        self._coordinator.execute(
            run_id=run_id,
            tenant_id=self._tenant,
            run_status=ending.status,
            agent_id=f"agent-{number % THREADS}",
            error_code=ending.error_code,
            error_message=ending.error_message,
            trace_id=trace_id,
        )
        self._ledger.committed(run_id, incident=ending.status is not RunStatus.SUCCEEDED)

    def _start_trace(self, run_id: str) -> str:
        with Session(self._engine) as session, session.begin():
            return TraceFacade().start(session, tenant_id=self._tenant, run_id=run_id)

    def _abandon(self, run_id: str) -> None:
        """Write an event and roll it back: what a phantom would be made of."""
        event = OutboxEvent.json(
            topic=self._topic, key=run_id, type="run.abandoned", data={"run_id": run_id}
        )
        with Session(self._engine) as session:
            self._ledger.add_all(session, [event])
            session.rollback()
        self._ledger.rolled_back(run_id)
