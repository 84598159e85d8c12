"""Carries a call out: claim, checks, work, events, record, commit; all of it or nothing.

claim ---- found ----------------------------------------------> the earlier record
  | ours
checks, work, events, settlement of what was done outside, record
  | error            roll back, rollback actions, undos -> transient? all again, within the budget
commit                                              else TransactionFailed
  | refused          as above
  | reply lost       look it up: committed -> the record; rolled back -> as above;
  |                  not to be found out -> CommitOutcomeUnknown, and no action runs
the record
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from coordinator.engine.awaiting import to_its_end
from coordinator.engine.compensation import compensate
from coordinator.engine.memory import Call, Memory, Record
from coordinator.engine.operation import ROLLBACK_ACTIONS, RollbackAction, UndoOutside
from coordinator.engine.outside import OutsideAttempt
from coordinator.engine.retry import RetryBudget
from coordinator.engine.sessions import new_session, opened
from coordinator.engine.unknown_commit import CommitReplyLost, commit, look_up
from coordinator.engine.work import Transaction
from coordinator.errors import BadInput, CommitOutcomeUnknown, EarlierNotUndone, TransactionFailed
from coordinator.event import OutboxEvent
from coordinator.failpoints import hit
from coordinator.outcomes import DomainAck
from coordinator.phases import phase_name
from coordinator.session_guard import guarded, watch
from coordinator.transient import is_connection_loss, is_transient


class EventPublisher(Protocol):
    """Takes a transaction's events inside it; the outbox does."""

    def add_all(self, session: Session, events: Iterable[OutboxEvent]) -> None:
        """Write the events in the transaction of `session`."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done under a call's key.

    Attributes:
        name: stands in the error if the work ends the transaction.
        function: does it, anew in each attempt, and returns the transaction's value.
        checks: refuse bad input, each by the name of its domain; all of them before any work.
    """

    name: str
    function: Callable[[Transaction], Any]
    checks: Sequence[tuple[str, Callable[[Session], None]]] = ()


class CrossDomainTransaction(Generic[Record]):
    """Carries calls out; all state of a call lives in it, so threads may share this."""

    def __init__(
        self,
        engine: Engine,
        budget: RetryBudget,
        memory: Memory[Record],
        publisher: EventPublisher,
    ) -> None:
        """Make the engine's connections known to the session guard."""
        watch(engine)
        self._engine = engine
        self._budget = budget
        self._memory = memory
        self._publisher = publisher

    def run(self, call: Call, work: Work) -> Record:
        """Do `work` under the key of `call`, or return its record; see the module's picture.

        Raises:
            BadInput: the claim or a check refused.
            TransactionFailed: all is rolled back; its cause says why.
            CommitOutcomeUnknown: the commit's reply was lost, and the database stayed away.
        """
        return self._budget.spend(lambda: self._attempt(call, work), again=_may_succeed_later)

    def _attempt(self, call: Call, work: Work) -> Record:
        session = new_session(self._engine)
        outside = OutsideAttempt(session, call.key, call.call_id, self._budget)
        attempt = _Attempt(Transaction(session, call.key, outside))
        session.info[ROLLBACK_ACTIONS] = attempt.rollback_actions
        try:
            with opened(session):
                return self._perform(call, work, attempt, session)
        except CommitReplyLost as lost:
            return self._resolved(call, attempt, lost)
        except BaseException as error:
            acks = self._compensate(call, attempt, error)
            if attempt.refused(error) or not isinstance(error, Exception):
                raise
            message = _summary(error) + ("" if attempt.is_writing else _schema_hint(error))
            raise attempt.failed(message, error, acks) from error
        finally:
            attempt.tx.end()

    def _resolved(self, call: Call, attempt: _Attempt, lost: CommitReplyLost) -> Record:
        """Return what the commit recorded whose reply was lost, or fail as any other attempt."""
        cause = lost.__cause__ or lost
        try:
            record = to_its_end(lambda: self._look_up(call, attempt, lost))
        except BadInput:
            # Another call, with other arguments, has the key: this attempt was rolled back.
            self._compensate(call, attempt, cause)
            raise
        is_committed = record is not None and not record.replayed
        acks = [] if is_committed else self._compensate(call, attempt, cause)
        if not isinstance(cause, Exception):
            raise cause
        if record is None:
            was_lost = is_connection_loss(cause)
            message = "the connection was lost at the commit" if was_lost else _summary(cause)
            raise attempt.failed(message, cause, acks) from cause
        return record

    def _perform(self, call: Call, work: Work, attempt: _Attempt, session: Session) -> Record:
        earlier = self._memory.claim(session, call)
        if earlier is not None:
            return earlier
        hit("coordinator.begun")
        for domain, check in work.checks:
            with guarded(session, domain):
                check(session)
        attempt.is_writing = True
        with guarded(session, work.name):
            attempt.tx.value = work.function(attempt.tx)
            attempt.tx.must_succeed()
            session.flush()
        if attempt.tx.events:
            self._publisher.add_all(session, attempt.tx.events)
        hit("coordinator.events_appended")
        attempt.tx.settle_outside()
        record = self._memory.record(session, call, attempt.tx)
        hit("coordinator.before_commit")
        commit(session)
        hit("coordinator.committed")
        return record

    def _look_up(self, call: Call, attempt: _Attempt, lost: CommitReplyLost) -> Record | None:
        try:
            return look_up(
                lambda session: self._memory.claim(session, call), self._new_session, self._budget
            )
        except DBAPIError as error:
            message = "the commit's reply was lost, and the database could not be asked again"
            raise CommitOutcomeUnknown(
                message, attempt.tx.phase, attempt.tx.results, error
            ) from lost

    def _compensate(self, call: Call, attempt: _Attempt, cause: BaseException) -> list[DomainAck]:
        def acknowledge(ack: DomainAck) -> None:
            with self._new_session() as session:
                self._memory.acknowledge(session, call, ack)
                session.commit()

        def write_ack(ack: DomainAck) -> None:
            self._budget.spend(lambda: acknowledge(ack), again=is_transient)

        return to_its_end(lambda: compensate(attempt.rollback_actions, cause, write_ack))

    def _new_session(self) -> AbstractContextManager[Session]:
        return opened(new_session(self._engine))


@dataclass(slots=True)
class _Attempt:
    """One attempt on one session, and how far it got."""

    tx: Transaction
    rollback_actions: list[RollbackAction | UndoOutside] = field(default_factory=list)
    is_writing: bool = False

    def refused(self, error: BaseException) -> bool:
        """Tell whether the claim or a check said no, which reaches the caller as it is."""
        return isinstance(error, BadInput) and not self.is_writing

    def failed(
        self, message: str, cause: BaseException, acks: list[DomainAck]
    ) -> TransactionFailed:
        return TransactionFailed(
            f"{message}; nothing was written (reached: {phase_name(self.tx.phase)})",
            self.tx.phase,
            self.tx.results,
            cause,
            acks,
        )


def _may_succeed_later(error: BaseException) -> bool:
    if isinstance(error, CommitOutcomeUnknown) or not isinstance(error, TransactionFailed):
        return False
    return is_transient(error.cause)


def _schema_hint(error: Exception) -> str:
    # Undefined schema, table, column or function, before the user's own code ran: they are ours.
    missing = ("3F000", "42P01", "42703", "42883")
    state = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
    return ": our schema is missing or older, run `relay migrate`" if state in missing else ""


def _summary(error: Exception) -> str:
    # A driver's message quotes the row, and that is payload: the class says enough here, the cause
    # has the rest. What this package refuses names the field and never its value.
    shown = type(error.orig if isinstance(error, DBAPIError) else error).__name__
    says = isinstance(error, BadInput | EarlierNotUndone)
    return f"rolled back after {shown}" + (f": {error}" if says else "")
