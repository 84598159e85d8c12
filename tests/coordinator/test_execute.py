"""execute(): what a completed run leaves behind, and what its caller reads."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, registry

from coordinator import (
    DomainResult,
    FinishedRun,
    IncidentFacade,
    InvalidEvent,
    RunCompletionTransaction,
    TransactionFailed,
    TransactionPhase,
)
from coordinator.domains.tables import incidents, policy_evaluations, traces
from coordinator.outbox.table import outbox_event
from tests.coordinator.database import count, start_trace, statements_of, written


@pytest.mark.parametrize("run_status", ["failed", "timed_out", "cancelled"])
def test_a_run_that_did_not_succeed_gets_one_incident(
    coordinator: RunCompletionTransaction, engine: Engine, run_status: str
) -> None:
    result = coordinator.execute(
        run_id="r1",
        tenant_id="t1",
        run_status=run_status,
        agent_id="a",
        error_code="E1",
        error_message="line\nline",
        is_synthetic=True,
        synthetic_scenario_id="s",
    )
    with engine.connect() as connection:
        row = connection.execute(select(incidents)).one()._asdict()
    del row["created_at"]
    assert str(row.pop("id")) == result.results["incident"].id
    assert row == {
        "tenant_id": "t1",
        "run_id": "r1",
        "run_status": run_status,
        "agent_id": "a",
        "error_code": "E1",
        "error_message": "line\nline",
        "trace_id": None,
        "is_synthetic": True,
        "synthetic_scenario_id": "s",
    }


def test_a_run_that_succeeded_has_a_result_that_says_no_incident_was_needed(
    coordinator: RunCompletionTransaction, engine: Engine
) -> None:
    result = coordinator.execute(run_id="r1", tenant_id="t1", run_status="succeeded")
    assert result.results["incident"] == DomainResult(
        "incident", needed=False, detail={"reason": "the run succeeded: no incident is needed"}
    )
    assert count(engine, incidents) == 0


@pytest.mark.parametrize(
    ("run_status", "outcome"), [("succeeded", "compliant"), ("failed", "violated")]
)
def test_every_run_gets_a_policy_evaluation(
    coordinator: RunCompletionTransaction, engine: Engine, run_status: str, outcome: str
) -> None:
    result = coordinator.execute(run_id="r1", tenant_id="t1", run_status=run_status)
    with engine.connect() as connection:
        row = connection.execute(select(policy_evaluations)).one()
    assert (str(row.id), row.outcome) == (result.results["governance"].id, outcome)


def test_the_runs_trace_is_completed(coordinator: RunCompletionTransaction, engine: Engine) -> None:
    trace_id = start_trace(engine, "t1", "r1")
    coordinator.execute(run_id="r1", tenant_id="t1", run_status="failed", trace_id=trace_id)
    with engine.connect() as connection:
        row = connection.execute(select(traces)).one()
    assert (row.id, row.status, row.run_status) == (trace_id, "completed", "failed")


def test_events_say_what_happened_under_the_runs_key(
    coordinator: RunCompletionTransaction, engine: Engine
) -> None:
    trace_id = start_trace(engine, "t1", "r1")
    result = coordinator.execute(
        run_id="r1", tenant_id="t1", run_status="failed", trace_id=trace_id, error_code="E1"
    )
    with engine.connect() as connection:
        rows = connection.execute(select(outbox_event).order_by(outbox_event.c.position)).all()
    assert [(row.topic, row.key, row.type) for row in rows] == [
        ("runs", "r1", "run.completed"),
        ("runs", "r1", "incident.created"),
        ("runs", "r1", "policy.evaluated"),
        ("runs", "r1", "trace.completed"),
    ]
    assert {row.type: row.id for row in rows} == result.event_ids
    assert json.loads(rows[1].payload) == {
        "tenant_id": "t1",
        "run_id": "r1",
        "incident_id": result.results["incident"].id,
        "run_status": "failed",
        "agent_id": None,
        "error_code": "E1",
        "error_message": None,
    }


def test_a_successful_run_without_a_trace_has_two_events(
    coordinator: RunCompletionTransaction,
) -> None:
    result = coordinator.execute(run_id="r1", tenant_id="t1", run_status="succeeded")
    assert set(result.event_ids) == {"run.completed", "policy.evaluated"}


def test_skip_events_writes_the_domains_rows_and_no_event(
    coordinator: RunCompletionTransaction, engine: Engine
) -> None:
    result = coordinator.execute(run_id="r1", tenant_id="t1", run_status="failed", skip_events=True)
    assert result.event_ids == {}
    assert "event" not in written(engine)
    assert written(engine)["incidents"] == 1


def test_a_topic_of_ones_own_takes_the_events(engine: Engine) -> None:
    RunCompletionTransaction(engine, topic="my.runs").execute(
        run_id="r1", tenant_id="t1", run_status="succeeded"
    )
    with engine.connect() as connection:
        assert set(connection.scalars(select(outbox_event.c.topic))) == {"my.runs"}


def test_a_topic_that_kafka_refuses_is_refused_when_the_coordinator_is_made(
    engine: Engine,
) -> None:
    with pytest.raises(InvalidEvent, match="topic"):
        RunCompletionTransaction(engine, topic="my runs")


def test_a_result_is_complete_and_all_its_domains_succeeded(
    coordinator: RunCompletionTransaction,
) -> None:
    result = coordinator.execute(run_id="r1", tenant_id="t1", run_status="failed")
    assert result.phase is TransactionPhase.COMMITTED
    assert (result.is_complete, result.all_domains_succeeded, result.replayed) == (
        True,
        True,
        False,
    )


def test_a_result_becomes_json(coordinator: RunCompletionTransaction) -> None:
    result = coordinator.execute(run_id="r1", tenant_id="t1", run_status="succeeded")
    assert json.loads(json.dumps(result.to_dict())) == {
        "tenant_id": "t1",
        "run_id": "r1",
        "phase": "committed",
        "is_complete": True,
        "all_domains_succeeded": True,
        "results": [
            {
                "domain": "incident",
                "success": True,
                "id": None,
                "needed": False,
                "detail": {"reason": "the run succeeded: no incident is needed"},
            },
            {
                "domain": "governance",
                "success": True,
                "id": result.results["governance"].id,
                "needed": True,
                "detail": {"policy": "run-must-succeed", "outcome": "compliant"},
            },
        ],
        "event_ids": {name: str(id_) for name, id_ in result.event_ids.items()},
        "replayed": False,
    }


def test_an_added_object_that_the_database_refuses_fails_the_operation_that_added_it(
    engine: Engine,
) -> None:
    class Note:
        """A row without what it must have, added as an object for the session to write."""

    class Adds(IncidentFacade):
        def create(self, session: Session, run: FinishedRun) -> DomainResult:
            session.add(Note())
            return super().create(session, run)

    registry().map_imperatively(Note, traces)
    with pytest.raises(TransactionFailed) as failed:
        RunCompletionTransaction(engine, incident=Adds()).execute(
            run_id="r1", tenant_id="t1", run_status="succeeded"
        )
    assert failed.value.phase is TransactionPhase.NOT_STARTED
    assert written(engine) == {}


def test_one_completion_takes_seven_statements(
    coordinator: RunCompletionTransaction, engine: Engine
) -> None:
    trace_id = start_trace(engine, "t1", "r1")
    with statements_of(engine) as sent:
        coordinator.execute(run_id="r1", tenant_id="t1", run_status="failed", trace_id=trace_id)
    assert [statement.split()[0].upper() for statement in sent] == [
        "WITH",  # the claim, with the lock of the key
        "SELECT",  # the trace, locked
        "INSERT",  # incident
        "INSERT",  # evaluation
        "UPDATE",  # trace
        "INSERT",  # all events
        "INSERT",  # the result
    ]
