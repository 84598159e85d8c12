"""Carries a plan out: claim, checks, operations, events, record, commit; all of it or nothing.

claim ---- found ----------------------------------------------> the earlier record
  | ours
checks, operations, events, record
  | error            roll back, rollback actions -> transient? the whole again, within the budget
commit                                              else TransactionFailed
  | refused          as above
  | reply lost       look it up: committed -> the record; rolled back -> as above;
  |                  not to be found out -> CommitOutcomeUnknown, and no action runs
the record
"""

from __future__ import annotations

from typing import Generic

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from coordinator.engine.compensation import compensate
from coordinator.engine.operation import (
    ROLLBACK_ACTIONS,
    DomainOperation,
    Record,
    RollbackAction,
    TransactionPlan,
)
from coordinator.engine.retry import RetryBudget, is_transient
from coordinator.engine.session_guard import GuardedSession, guarded, watch
from coordinator.engine.unknown_commit import CommitReplyLost, commit, look_up
from coordinator.errors import BadInput, CommitOutcomeUnknown, TransactionFailed
from coordinator.failpoints import hit
from coordinator.outcomes import DomainAck, DomainResult
from coordinator.phases import TransactionPhase, advance


class CrossDomainTransaction:
    """Runs plans on one engine; all state of a run lives in its call, so threads may share it."""

    def __init__(self, engine: Engine, budget: RetryBudget) -> None:
        """Make the engine's connections known to the session guard."""
        watch(engine)
        self._engine = engine
        self._budget = budget

    def run(self, plan: TransactionPlan[Record]) -> Record:
        """Carry `plan` out; see the module's picture.

        Raises:
            BadInput: the claim or a check refused.
            TransactionFailed: all is rolled back; its cause says why.
            CommitOutcomeUnknown: the commit's reply was lost, and the database stayed away.
        """
        return self._budget.spend(lambda: self._attempt(plan), again=_may_succeed_later)

    def _attempt(self, plan: TransactionPlan[Record]) -> Record:
        attempt = _Attempt(plan)
        try:
            with self._new_session() as session:
                return attempt.perform(session)
        except CommitReplyLost as lost:
            record = self._look_up(attempt, lost)
            if record is not None:
                return record
            cause = lost.__cause__ or lost
            self._compensate(attempt, cause)
            raise attempt.failed("the connection was lost at the commit", cause) from cause
        except BaseException as error:
            self._compensate(attempt, error)
            if attempt.refused(error) or not isinstance(error, Exception):
                raise
            raise attempt.failed(_summary(error), error) from error

    def _look_up(self, attempt: _Attempt[Record], lost: CommitReplyLost) -> Record | None:
        try:
            return look_up(attempt.plan, self._new_session, self._budget)
        except DBAPIError as error:
            message = "the commit's reply was lost, and the database could not be asked again"
            raise CommitOutcomeUnknown(message, attempt.phase, attempt.results, error) from lost

    def _compensate(self, attempt: _Attempt[Record], cause: BaseException) -> None:
        def write_ack(ack: DomainAck) -> None:
            self._budget.spend(lambda: self._acknowledge(attempt.plan, ack), again=is_transient)

        compensate(attempt.rollback_actions, cause, write_ack)

    def _acknowledge(self, plan: TransactionPlan[Record], ack: DomainAck) -> None:
        with self._new_session() as session, session.begin():
            plan.acknowledge(session, ack)

    def _new_session(self) -> Session:
        return GuardedSession(self._engine, expire_on_commit=False)


class _Attempt(Generic[Record]):
    """One attempt on one session, and how far it got."""

    def __init__(self, plan: TransactionPlan[Record]) -> None:
        self.plan = plan
        self.phase = TransactionPhase.NOT_STARTED
        self.results: dict[str, DomainResult] = {}
        self.rollback_actions: list[RollbackAction] = []
        self._writing = False

    def perform(self, session: Session) -> Record:
        session.info[ROLLBACK_ACTIONS] = self.rollback_actions
        earlier = self.plan.claim(session)
        if earlier is not None:
            return earlier
        hit("coordinator.begun")
        self._check(session)
        self._writing = True
        for operation in self.plan.operations:
            self._act(session, operation)
        self.plan.append_events(session, self.results)
        hit("coordinator.events_appended")
        record = self.plan.record(session, self.results)
        hit("coordinator.before_commit")
        commit(session)
        return record

    def _check(self, session: Session) -> None:
        for operation in self.plan.operations:
            if operation.check is not None:
                with guarded(session, operation.name):
                    operation.check(session)

    def _act(self, session: Session, operation: DomainOperation) -> None:
        with guarded(session, operation.name):
            result = operation.action(session, self.results)
            # Now, not at the commit: an error belongs to the operation that caused it.
            session.flush()
        self.phase = advance(self.phase, operation.phase)
        self.results[operation.name] = result

    def refused(self, error: BaseException) -> bool:
        """Tell whether the claim or a check said no, which reaches the caller as it is."""
        return isinstance(error, BadInput) and not self._writing

    def failed(self, message: str, cause: BaseException) -> TransactionFailed:
        return TransactionFailed(
            f"{message}; nothing was written (reached: {self.phase.name})",
            self.phase,
            self.results,
            cause,
        )


def _may_succeed_later(error: BaseException) -> bool:
    if isinstance(error, CommitOutcomeUnknown) or not isinstance(error, TransactionFailed):
        return False
    return is_transient(error.cause)


def _summary(error: Exception) -> str:
    # A driver's message quotes the row, and that is payload: the class says enough here, the cause
    # has the rest.
    shown = type(error.orig if isinstance(error, DBAPIError) else error).__name__
    return f"rolled back after {shown}"
