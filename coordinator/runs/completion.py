"""RunCompletionTransaction: three domains and up to four events of a run, in one commit."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from coordinator.domains.facade import (
    CompletesTrace,
    CreatesIncident,
    EvaluatesPolicies,
    FinishedRun,
    RunStatus,
    run_status_of,
)
from coordinator.domains.governance import GOVERNANCE, GovernanceFacade
from coordinator.domains.incident import INCIDENT, IncidentFacade
from coordinator.domains.trace import TRACE, TraceFacade
from coordinator.engine.memory import Call
from coordinator.engine.retry import RetryBudget
from coordinator.engine.transaction import CrossDomainTransaction, EventPublisher, Work
from coordinator.engine.work import Transaction
from coordinator.errors import InvalidRun
from coordinator.failpoints import hit
from coordinator.outbox.writer import Outbox
from coordinator.outcomes import DomainResult, TransactionResult
from coordinator.phases import TransactionPhase
from coordinator.runs.events import DEFAULT_TOPIC, run_events
from coordinator.runs.repeat import CompletedRuns
from coordinator.validation import check_topic


class RunCompletionTransaction:
    """Completes runs; holds no state of a call, so one may be shared by all threads."""

    def __init__(
        self,
        engine: Engine,
        *,
        incident: CreatesIncident | None = None,
        governance: EvaluatesPolicies | None = None,
        trace: CompletesTrace | None = None,
        publisher: EventPublisher | None = None,
        topic: str = DEFAULT_TOPIC,
        budget: RetryBudget | None = None,
    ) -> None:
        """Wire the domains.

        Args:
            engine: where the domains' tables and the outbox are; one connection a call.
            incident, governance, trace: facades of one's own; the shipped ones write the tables
                `incidents`, `policy_evaluations` and `traces`.
            publisher: takes the events inside the transaction; the outbox.
            topic: of the run's events; their key is the run's id.
            budget: how long transient errors are tried again; 40 attempts in 15 s.

        Raises:
            InvalidEvent: Kafka would refuse `topic`.
        """
        check_topic(topic)
        publisher = publisher or Outbox()
        completed = CompletedRuns(publisher if isinstance(publisher, Outbox) else None)
        self._transaction = CrossDomainTransaction(
            engine, budget or RetryBudget(), completed, publisher
        )
        self._incident = incident or IncidentFacade()
        self._governance = governance or GovernanceFacade()
        self._trace = trace or TraceFacade()
        self._topic = topic

    def execute(
        self,
        *,
        run_id: str,
        tenant_id: str,
        run_status: RunStatus | str,
        agent_id: str | None = None,
        error_code: str | None = None,
        error_message: str | None = None,
        trace_id: str | None = None,
        is_synthetic: bool = False,
        synthetic_scenario_id: str | None = None,
        skip_events: bool = False,
    ) -> TransactionResult:
        """Complete a run: incident, policy evaluation, trace and events, in one commit.

        A repeat of the call returns the first result, so it is safe after a lost reply.
        Serialisation failures, deadlocks and lost connections are tried again within the budget.

        Args:
            run_id, tenant_id: 1 to 255 characters each.
            run_status: succeeded, failed, timed_out or cancelled.
            agent_id, error_code, synthetic_scenario_id: 1 to 255 characters, or None.
            error_message: 1 to 16,384 characters, or None.
            trace_id: the run's open trace, which is completed; None if it has none.
            is_synthetic: whether the run was made up.
            skip_events: write the domains' rows only.

        Returns:
            What was committed; `replayed` if an earlier call did it.

        Raises:
            InvalidRun: an argument breaks its rule.
            RunConflict: the run was completed before, with other arguments.
            TraceRefused: no such trace, not this run's, or completed already.
            TransactionFailed: nothing was written; its `cause` says why.
            CommitOutcomeUnknown: committed or not; the same call later finds out.
        """
        run = FinishedRun(
            run_id=run_id,
            tenant_id=tenant_id,
            run_status=run_status_of(run_status),
            agent_id=agent_id,
            error_code=error_code,
            error_message=error_message,
            trace_id=trace_id,
            is_synthetic=is_synthetic,
            synthetic_scenario_id=synthetic_scenario_id,
        )
        if not isinstance(skip_events, bool):
            raise InvalidRun("skip_events", "must be True or False")
        call = Call((tenant_id, run_id), uuid4(), _arguments(run, skip_events=skip_events))
        checks = [(TRACE, partial(self._check_trace, run))] if trace_id is not None else []
        work = partial(self._complete, run=run, skip_events=skip_events)
        return self._transaction.run(call, Work("completion", work, checks))

    def _check_trace(self, run: FinishedRun, session: Session) -> None:
        self._trace.check(session, run)

    def _complete(self, tx: Transaction, *, run: FinishedRun, skip_events: bool) -> None:
        phases = TransactionPhase
        tx.operation(INCIDENT, partial(self._create_incident, run), phase=phases.INCIDENT_CREATED)
        tx.operation(
            GOVERNANCE, partial(self._evaluate_policies, run), phase=phases.POLICY_EVALUATED
        )
        if run.trace_id is not None:
            tx.operation(TRACE, partial(self._complete_trace, run), phase=phases.TRACE_COMPLETED)
        if not skip_events:
            for event in run_events(run, tx.results, self._topic):
                tx.emit(event)

    def _create_incident(self, run: FinishedRun, session: Session) -> DomainResult:
        result = self._incident.create(session, run)
        hit("coordinator.incident_created")
        return result

    def _evaluate_policies(self, run: FinishedRun, session: Session) -> DomainResult:
        result = self._governance.evaluate(session, run)
        hit("coordinator.policy_evaluated")
        return result

    def _complete_trace(self, run: FinishedRun, session: Session) -> DomainResult:
        result = self._trace.complete(session, run)
        hit("coordinator.trace_completed")
        return result


def _arguments(run: FinishedRun, *, skip_events: bool) -> dict[str, Any]:
    arguments = asdict(run) | {"run_status": run.run_status.value, "skip_events": skip_events}
    del arguments["tenant_id"], arguments["run_id"]
    return arguments
