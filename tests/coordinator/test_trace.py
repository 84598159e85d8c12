"""The trace must exist, belong to the run, and be open; its failure fails the whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg.errors import LockNotAvailable
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from coordinator import (
    DomainResult,
    FinishedRun,
    IncidentFacade,
    InvalidRun,
    RunCompletionTransaction,
    RunStatus,
    TraceFacade,
    TraceRefused,
    TransactionFailed,
    TransactionPhase,
)
from tests.coordinator.database import start_trace, statements_of, written


class BrokenTrace(TraceFacade):
    def complete(self, session: Session, run: FinishedRun) -> DomainResult:
        super().complete(session, run)
        raise RuntimeError("the trace store is broken")


@pytest.mark.parametrize(
    ("tenant_id", "run_id", "problem"),
    [("t2", "r1", "is not of run 'r1'"), ("t1", "r2", "is not of run 'r1'")],
)
def test_a_trace_of_another_run_or_tenant_is_refused(
    coordinator: RunCompletionTransaction, engine: Engine, tenant_id: str, run_id: str, problem: str
) -> None:
    trace_id = start_trace(engine, tenant_id, run_id)
    with pytest.raises(TraceRefused, match=problem):
        coordinator.execute(run_id="r1", tenant_id="t1", run_status="failed", trace_id=trace_id)
    assert written(engine) == {}


def test_a_trace_that_does_not_exist_is_refused(
    coordinator: RunCompletionTransaction, engine: Engine
) -> None:
    with pytest.raises(TraceRefused, match="there is no trace 'x'"):
        coordinator.execute(run_id="r1", tenant_id="t1", run_status="failed", trace_id="x")
    assert written(engine) == {}


def test_a_completed_trace_is_refused(
    coordinator: RunCompletionTransaction, engine: Engine
) -> None:
    trace_id = start_trace(engine, "t1", "r1")
    with Session(engine) as session, session.begin():
        run = FinishedRun(
            run_id="r1", tenant_id="t1", run_status=RunStatus.FAILED, trace_id=trace_id
        )
        TraceFacade().complete(session, run)
    with pytest.raises(TraceRefused, match="is completed, not open"):
        coordinator.execute(run_id="r1", tenant_id="t1", run_status="failed", trace_id=trace_id)


def test_a_refused_trace_is_bad_input_and_a_failed_transaction(
    coordinator: RunCompletionTransaction,
) -> None:
    with pytest.raises(TraceRefused) as refused:
        coordinator.execute(run_id="r1", tenant_id="t1", run_status="failed", trace_id="x")
    assert isinstance(refused.value, ValueError)
    assert isinstance(refused.value, TransactionFailed)
    assert (refused.value.field, refused.value.phase) == ("trace_id", TransactionPhase.NOT_STARTED)


def test_a_trace_is_checked_before_a_domain_writes(
    coordinator: RunCompletionTransaction, engine: Engine
) -> None:
    with statements_of(engine) as sent, pytest.raises(TraceRefused):
        coordinator.execute(run_id="r1", tenant_id="t1", run_status="failed", trace_id="x")
    assert not any("incidents" in statement for statement in sent)


def test_a_trace_failure_rolls_back_everything(engine: Engine) -> None:
    trace_id = start_trace(engine, "t1", "r1")
    coordinator = RunCompletionTransaction(engine, trace=BrokenTrace())
    with pytest.raises(TransactionFailed) as failed:
        coordinator.execute(run_id="r1", tenant_id="t1", run_status="failed", trace_id=trace_id)
    assert written(engine) == {}
    assert failed.value.phase is TransactionPhase.POLICY_EVALUATED
    assert list(failed.value.partial_results) == ["incident", "governance"]
    assert str(failed.value.cause) == "the trace store is broken"


def test_a_trace_is_locked_from_its_check_to_the_commit(engine: Engine) -> None:
    class LooksAtTheTrace(IncidentFacade):
        def create(self, session: Session, run: FinishedRun) -> DomainResult:
            with ThreadPoolExecutor(1) as other:
                refusals.append(other.submit(lock_it).result())
            return super().create(session, run)

    def lock_it() -> object:
        with engine.connect() as connection, pytest.raises(OperationalError) as refused:
            connection.execute(text("select from public.traces for update nowait"))
        return refused.value.orig

    refusals: list[object] = []
    trace_id = start_trace(engine, "t1", "r1")
    RunCompletionTransaction(engine, incident=LooksAtTheTrace()).execute(
        run_id="r1", tenant_id="t1", run_status="failed", trace_id=trace_id
    )
    assert isinstance(refusals[0], LockNotAvailable)


def test_a_trace_is_started_under_an_id_of_ones_own_or_a_made_one(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        own = TraceFacade().start(session, tenant_id="t1", run_id="r1", trace_id="mine")
        made = TraceFacade().start(session, tenant_id="t1", run_id="r1")
    assert own == "mine"
    assert len(made) == 32


def test_a_trace_id_is_taken_once(engine: Engine) -> None:
    with Session(engine) as session:
        TraceFacade().start(session, tenant_id="t1", run_id="r1", trace_id="mine")
        with pytest.raises(IntegrityError):
            TraceFacade().start(session, tenant_id="t2", run_id="r2", trace_id="mine")


def test_a_trace_without_a_run_is_refused(engine: Engine) -> None:
    with Session(engine) as session, pytest.raises(InvalidRun, match="run_id"):
        TraceFacade().start(session, tenant_id="t1", run_id="")
