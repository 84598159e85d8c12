"""What the engine is given: domains' operations, what undoes their effects, the whole plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sqlalchemy.orm import Session

from coordinator.errors import WrongUse
from coordinator.outcomes import DomainAck, DomainResult
from coordinator.phases import TransactionPhase

Record = TypeVar("Record")
Record_co = TypeVar("Record_co", covariant=True)

# Where a session of the engine keeps the actions of its attempt.
ROLLBACK_ACTIONS = "coordinator.rollback_actions"


@dataclass(frozen=True, slots=True)
class RollbackAction:
    """Undoes, after a rollback, what a domain did outside the transaction.

    Rows need none: they go with the transaction. A process that is killed runs none either.

    Attributes:
        domain: whose action it is.
        name: what it undoes; stands in the DomainAck.
        action: called at most once, after the rollback, without a session.
    """

    domain: str
    name: str
    action: Callable[[], object]

    def register(self, session: Session) -> None:
        """Have this action run if the transaction of `session` is rolled back.

        Raises:
            WrongUse: `session` is not the one that the coordinator handed to a domain.
        """
        actions: list[RollbackAction] | None = session.info.get(ROLLBACK_ACTIONS)
        if actions is None:
            raise WrongUse("a rollback action belongs to the session that a domain is handed")
        actions.append(self)


@dataclass(frozen=True, slots=True)
class DomainOperation:
    """One domain's part of a transaction.

    Attributes:
        name: the domain's name; unique in a plan.
        phase: what is reached when `action` is done.
        action: does the work on the session that it is handed; gets the results of those before it.
        check: refuses bad input; the checks of all operations come before any action.
    """

    name: str
    phase: TransactionPhase
    action: Callable[[Session, Mapping[str, DomainResult]], DomainResult]
    check: Callable[[Session], None] | None = None


class TransactionPlan(Protocol[Record_co]):
    """One transaction, as far as the engine must know it; made anew for each call."""

    @property
    def operations(self) -> Sequence[DomainOperation]:
        """The domains' parts, in order."""

    def claim(self, session: Session) -> Record_co | None:
        """Lock the subject, or return what an earlier commit recorded of it.

        Waits for a transaction that holds the subject, and reads what that one left: so it also
        tells whether a commit happened whose reply was lost.
        """

    def append_events(self, session: Session, results: Mapping[str, DomainResult]) -> None:
        """Write the events of `results`."""

    def record(self, session: Session, results: Mapping[str, DomainResult]) -> Record_co:
        """Write last what `claim` finds later, and return it."""

    def acknowledge(self, session: Session, ack: DomainAck) -> None:
        """Write what became of a rollback action."""
