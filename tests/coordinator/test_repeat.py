"""The same run again: the first result, or a conflict; and two callers at once do it once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from coordinator import (
    DomainResult,
    FinishedRun,
    GovernanceFacade,
    IncidentFacade,
    RunCompletionTransaction,
    RunConflict,
    TransactionFailed,
    TransactionResult,
)
from coordinator.idempotency import event_id
from tests.coordinator.database import start_trace, statements_of, written
from tests.support.wait import until

FAILED_RUN: dict[str, Any] = {
    "run_id": "r1",
    "tenant_id": "t1",
    "run_status": "failed",
    "agent_id": "a",
    "error_code": "E1",
    "error_message": "boom",
    "is_synthetic": True,
    "synthetic_scenario_id": "s",
}


class FailsOnce(IncidentFacade):
    def __init__(self) -> None:
        self.failed = False

    def create(self, session: Session, run: FinishedRun) -> DomainResult:
        result = super().create(session, run)
        if not self.failed:
            self.failed = True
            raise RuntimeError("the first attempt fails")
        return result


class Waits(GovernanceFacade):
    """Says when it has started, and goes on when it may."""

    def __init__(self) -> None:
        self.started, self.may_go_on = Event(), Event()

    def evaluate(self, session: Session, run: FinishedRun) -> DomainResult:
        self.started.set()
        assert self.may_go_on.wait(30)
        return super().evaluate(session, run)


def waiting_for_a_lock(engine: Engine) -> bool:
    waiting = text(
        "select count(*) from pg_stat_activity"
        " where datname = current_database() and wait_event_type = 'Lock'"
    )
    with engine.connect() as connection:
        return bool(connection.scalar(waiting))


def test_a_repeat_returns_the_first_result_and_says_so(
    coordinator: RunCompletionTransaction, engine: Engine
) -> None:
    trace_id = start_trace(engine, "t1", "r1")
    first = coordinator.execute(**FAILED_RUN, trace_id=trace_id)
    second = coordinator.execute(**FAILED_RUN, trace_id=trace_id)
    assert second.replayed
    assert second.to_dict() | {"replayed": False} == first.to_dict()


def test_a_repeat_writes_nothing(coordinator: RunCompletionTransaction, engine: Engine) -> None:
    coordinator.execute(**FAILED_RUN)
    before = written(engine)
    with statements_of(engine) as sent:
        coordinator.execute(**FAILED_RUN)
    assert written(engine) == before
    assert len(sent) == 2


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("run_status", "cancelled"),
        ("agent_id", None),
        ("error_code", "E2"),
        ("error_message", "bang"),
        ("trace_id", "another"),
        ("is_synthetic", False),
        ("synthetic_scenario_id", None),
        ("skip_events", True),
    ],
)
def test_a_repeat_with_another_argument_is_a_conflict_that_names_it(
    coordinator: RunCompletionTransaction, engine: Engine, field: str, other: object
) -> None:
    coordinator.execute(**FAILED_RUN)
    before = written(engine)
    with pytest.raises(RunConflict) as conflict:
        coordinator.execute(**(FAILED_RUN | {field: other}))
    assert conflict.value.fields == (field,)
    assert written(engine) == before


def test_the_same_run_id_of_two_tenants_is_two_runs(
    coordinator: RunCompletionTransaction,
) -> None:
    coordinator.execute(run_id="r1", tenant_id="t1", run_status="failed")
    second = coordinator.execute(run_id="r1", tenant_id="t2", run_status="succeeded")
    assert not second.replayed


def test_a_run_that_failed_to_complete_can_be_completed_later_under_the_same_event_ids(
    engine: Engine,
) -> None:
    coordinator = RunCompletionTransaction(engine, incident=FailsOnce())
    with pytest.raises(TransactionFailed):
        coordinator.execute(**FAILED_RUN)
    result = coordinator.execute(**FAILED_RUN)
    assert result.event_ids == {
        type_: event_id("t1", "r1", type_)
        for type_ in ("run.completed", "incident.created", "policy.evaluated")
    }
    assert written(engine) == {
        "incidents": 1,
        "policy_evaluations": 1,
        "run_completions": 1,
        "run_claims": 1,
        "event": 3,
    }


def test_two_callers_at_once_do_it_once_and_both_get_the_result(engine: Engine) -> None:
    governance = Waits()
    coordinator = RunCompletionTransaction(engine, governance=governance)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(coordinator.execute, **FAILED_RUN)
        assert governance.started.wait(30)
        second = pool.submit(coordinator.execute, **FAILED_RUN)
        until(lambda: waiting_for_a_lock(engine), what="the second caller to wait for the first")
        governance.may_go_on.set()
        results = [first.result(), second.result()]
    assert [result.replayed for result in results] == [False, True]
    assert results[0].event_ids == results[1].event_ids
    assert written(engine)["incidents"] == 1


def test_the_key_is_locked_for_another_tenants_run_of_the_same_id(engine: Engine) -> None:
    """P4: events of one key are written in commit order, also by two tenants."""
    governance = Waits()
    coordinator = RunCompletionTransaction(engine, governance=governance)
    others = RunCompletionTransaction(engine)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(coordinator.execute, **FAILED_RUN)
        assert governance.started.wait(30)
        second = pool.submit(others.execute, **(FAILED_RUN | {"tenant_id": "t2"}))
        until(lambda: waiting_for_a_lock(engine), what="the other tenant to wait for the key")
        assert not second.done()
        governance.may_go_on.set()
        assert not first.result().replayed
        assert not second.result().replayed


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_many_callers_of_one_run_do_it_once_under_every_isolation(
    engine: Engine, isolation: Any
) -> None:
    coordinator = RunCompletionTransaction(engine.execution_options(isolation_level=isolation))
    together = Barrier(8)

    def complete() -> TransactionResult:
        together.wait(30)
        return coordinator.execute(**FAILED_RUN)

    with ThreadPoolExecutor(8) as pool:
        results = [done.result() for done in [pool.submit(complete) for _ in range(8)]]
    assert sum(not result.replayed for result in results) == 1
    assert len({result.results["incident"].id for result in results}) == 1
    assert written(engine)["incidents"] == 1
