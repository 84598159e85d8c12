"""The events of a completed run: what happened, in one topic and under one key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coordinator.domains.facade import FinishedRun
from coordinator.domains.governance import GOVERNANCE
from coordinator.domains.incident import INCIDENT
from coordinator.domains.trace import TRACE
from coordinator.event import OutboxEvent
from coordinator.idempotency import event_id
from coordinator.outcomes import DomainResult

# One topic for all: the events of a run stay in the order in which they are written here.
DEFAULT_TOPIC = "runs"

RUN_COMPLETED = "run.completed"
INCIDENT_CREATED = "incident.created"
POLICY_EVALUATED = "policy.evaluated"
TRACE_COMPLETED = "trace.completed"


def run_events(
    run: FinishedRun, results: Mapping[str, DomainResult], topic: str
) -> list[OutboxEvent]:
    """Return the events of `run`: one for the run, one for each domain that had something to do.

    Args:
        run: the run.
        results: what the domains did, by their names.
        topic: where the events go; their key is the run's id.
    """
    events = {RUN_COMPLETED: _run_completed(run)}
    if (incident := results[INCIDENT]).needed:
        events[INCIDENT_CREATED] = {"incident_id": incident.id, **_error_of(run)}
    governance = results[GOVERNANCE]
    events[POLICY_EVALUATED] = {"evaluation_id": governance.id, **governance.detail}
    if TRACE in results:
        events[TRACE_COMPLETED] = {"trace_id": results[TRACE].id}
    return [_event(run, type_, data, topic) for type_, data in events.items()]


def _event(run: FinishedRun, type_: str, data: Mapping[str, Any], topic: str) -> OutboxEvent:
    return OutboxEvent.json(
        topic=topic,
        key=run.run_id,
        type=type_,
        data={"tenant_id": run.tenant_id, "run_id": run.run_id, **data},
        id=event_id(run.tenant_id, run.run_id, type_),
    )


def _run_completed(run: FinishedRun) -> dict[str, Any]:
    return {
        "run_status": run.run_status.value,
        "agent_id": run.agent_id,
        "trace_id": run.trace_id,
        "is_synthetic": run.is_synthetic,
        "synthetic_scenario_id": run.synthetic_scenario_id,
    }


def _error_of(run: FinishedRun) -> dict[str, Any]:
    return {
        "run_status": run.run_status.value,
        "agent_id": run.agent_id,
        "error_code": run.error_code,
        "error_message": run.error_message,
    }
