"""RunCompletionTransaction: three domains and up to four events of a run, in one commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol
from uuid import UUID, uuid4

from sqlalchemy import Engine, insert
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
from coordinator.domains.tables import domain_acks
from coordinator.domains.trace import TRACE, TraceFacade
from coordinator.engine.operation import DomainOperation
from coordinator.engine.retry import RetryBudget
from coordinator.engine.transaction import CrossDomainTransaction
from coordinator.errors import InvalidRun
from coordinator.event import OutboxEvent
from coordinator.failpoints import hit
from coordinator.outbox.writer import Outbox
from coordinator.outcomes import DomainAck, DomainResult, TransactionResult
from coordinator.phases import TransactionPhase
from coordinator.runs.events import DEFAULT_TOPIC, run_events
from coordinator.runs.repeat import RunCall, claim, record
from coordinator.validation import check_topic


class EventPublisher(Protocol):
    """Takes a run's events inside its transaction; the outbox does."""

    def add_all(self, session: Session, events: Iterable[OutboxEvent]) -> None:
        """Write the events in the transaction of `session`."""


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
        self._transaction = CrossDomainTransaction(engine, budget or RetryBudget())
        self._domains = _Domains(
            incident or IncidentFacade(), governance or GovernanceFacade(), trace or TraceFacade()
        )
        self._publisher: EventPublisher = publisher or Outbox()
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
        publisher = None if skip_events else self._publisher
        plan = _Plan(run, uuid4(), self._domains, publisher, self._topic)
        result = self._transaction.run(plan)
        hit("coordinator.committed")
        return result


@dataclass(frozen=True, slots=True)
class _Domains:
    incident: CreatesIncident
    governance: EvaluatesPolicies
    trace: CompletesTrace


class _Plan:
    """The three-domain case as a plan of the engine; made anew for each call."""

    def __init__(
        self,
        run: FinishedRun,
        call_id: UUID,
        domains: _Domains,
        publisher: EventPublisher | None,
        topic: str,
    ) -> None:
        self._run = run
        self._domains = domains
        self._publisher = publisher
        self._events: list[OutboxEvent] = []
        self._topic = topic
        self._call = RunCall(
            run.tenant_id, run.run_id, call_id, _arguments(run, skip_events=publisher is None)
        )

    @property
    def operations(self) -> Sequence[DomainOperation]:
        operations = [
            DomainOperation(INCIDENT, TransactionPhase.INCIDENT_CREATED, self._create_incident),
            DomainOperation(GOVERNANCE, TransactionPhase.POLICY_EVALUATED, self._evaluate_policies),
        ]
        if self._run.trace_id is not None:
            operations.append(
                DomainOperation(
                    TRACE, TransactionPhase.TRACE_COMPLETED, self._complete_trace, self._check_trace
                )
            )
        return operations

    def claim(self, session: Session) -> TransactionResult | None:
        return claim(session, self._call)

    def append_events(self, session: Session, results: Mapping[str, DomainResult]) -> None:
        # Anew on each attempt: an incident of the attempt before was rolled back with its id.
        self._events = []
        if self._publisher is not None:
            self._events = run_events(self._run, results, self._topic)
            self._publisher.add_all(session, self._events)

    def record(self, session: Session, results: Mapping[str, DomainResult]) -> TransactionResult:
        result = TransactionResult(
            tenant_id=self._run.tenant_id,
            run_id=self._run.run_id,
            phase=TransactionPhase.COMMITTED,
            results=dict(results),
            event_ids={event.type: event.id for event in self._events},
        )
        record(session, self._call, result)
        return result

    def acknowledge(self, session: Session, ack: DomainAck) -> None:
        row = {
            "id": uuid4(),
            "tenant_id": self._run.tenant_id,
            "run_id": self._run.run_id,
            "call_id": self._call.call_id,
            **asdict(ack),
        }
        session.execute(insert(domain_acks), row)

    def _create_incident(self, session: Session, _: Mapping[str, DomainResult]) -> DomainResult:
        result = self._domains.incident.create(session, self._run)
        hit("coordinator.incident_created")
        return result

    def _evaluate_policies(self, session: Session, _: Mapping[str, DomainResult]) -> DomainResult:
        result = self._domains.governance.evaluate(session, self._run)
        hit("coordinator.policy_evaluated")
        return result

    def _check_trace(self, session: Session) -> None:
        self._domains.trace.check(session, self._run)

    def _complete_trace(self, session: Session, _: Mapping[str, DomainResult]) -> DomainResult:
        result = self._domains.trace.complete(session, self._run)
        hit("coordinator.trace_completed")
        return result


def _arguments(run: FinishedRun, *, skip_events: bool) -> dict[str, Any]:
    arguments = asdict(run) | {"run_status": run.run_status.value, "skip_events": skip_events}
    del arguments["tenant_id"], arguments["run_id"]
    return arguments
