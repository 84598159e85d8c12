"""What undoes an operation's effects outside the database, if its transaction is rolled back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from coordinator.errors import WrongUse
from coordinator.outcomes import DomainAck

if TYPE_CHECKING:
    # Not at run time: it needs an extra.
    from sqlalchemy.ext.asyncio import AsyncSession

# Where a session of the engine keeps the actions of its attempt.
ROLLBACK_ACTIONS = "coordinator.rollback_actions"

# Undoes one effect of `Transaction.outside` for the reason given, and says what became of it.
UndoOutside = Callable[[BaseException], DomainAck]


@dataclass(frozen=True, slots=True)
class RollbackAction:
    """Undoes, after a rollback, what a domain did outside the transaction.

    Rows need none: they go with the transaction. A process that is killed runs none either: what
    must be undone even then is done by `Transaction.outside`.

    Attributes:
        domain: whose action it is.
        name: what it undoes; stands in the DomainAck.
        action: called at most once, after the rollback, without a session; in an AsyncCoordinator
            it may be a coroutine function.
    """

    domain: str
    name: str
    action: Callable[[], object]

    def register(self, session: Session | AsyncSession) -> None:
        """Have this action run if the transaction of `session` is rolled back.

        Raises:
            WrongUse: `session` is not one that a coordinator made. In a transaction that is joined
                the caller rolls back, and nobody would run the action.
        """
        actions: list[RollbackAction | UndoOutside] | None = session.info.get(ROLLBACK_ACTIONS)
        if actions is None:
            raise WrongUse(
                "a rollback action belongs to a session that the coordinator made: whoever joins a "
                "transaction rolls it back himself, and undoes what he did outside it"
            )
        actions.append(self)
