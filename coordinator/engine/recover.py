"""Undoes what dead processes did outside the database: at a runner's start, or `relay recover`.

Intents without a settlement are those of open transactions and those of dead ones. The attempt's
lock tells them apart (see `coordinator.engine.outside`): got, the transaction is over, and a look
after that says whether its effects are to be undone. Two at one moment share the work: who finds a
lock taken goes on to the next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload
from uuid import UUID

from sqlalchemy import Engine
from sqlalchemy.util import greenlet_spawn

from coordinator.engine import intents
from coordinator.engine.intents import Intent
from coordinator.engine.undoing import NotUndone, Undoing
from coordinator.outcomes import DomainAck

if TYPE_CHECKING:
    # Not at run time: this import fails where SQLAlchemy was installed without asyncio.
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["LeftEffect", "Recovery", "recover"]

_LEFT_BEHIND = "the process ended before the commit"


@dataclass(frozen=True, slots=True)
class LeftEffect:
    """An effect outside the database whose transaction was not committed, or not yet.

    Attributes:
        key, call_id: of its transaction.
        attempt_id, ordinal: which attempt, and the how manieth action of it, from 0.
        action: the action's name.
        undo: the name of its undo.
        error: why the undo did not take it back; None where it did, or was not called.
    """

    key: tuple[str, ...]
    call_id: UUID
    attempt_id: UUID
    ordinal: int
    action: str
    undo: str
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "key": list(self.key),
            "call_id": str(self.call_id),
            "attempt_id": str(self.attempt_id),
            "ordinal": self.ordinal,
            "action": self.action,
            "undo": self.undo,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class Recovery:
    """What `recover` found, in the order in which it was met.

    Attributes:
        undone: taken back, and recorded: these undos never run again.
        failed: the undo raised; the next `recover` calls it again.
        running: the transaction is open, or another process undoes it now.
        unknown: no module of this process registers the undo; left as it was.
    """

    undone: tuple[LeftEffect, ...] = ()
    failed: tuple[LeftEffect, ...] = ()
    running: tuple[LeftEffect, ...] = ()
    unknown: tuple[LeftEffect, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left of transactions that are over."""
        return not (self.failed or self.unknown)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        groups = {
            "undone": self.undone,
            "failed": self.failed,
            "running": self.running,
            "unknown": self.unknown,
        }
        return {name: [effect.to_dict() for effect in group] for name, group in groups.items()}


@overload
def recover(engine: Engine) -> Recovery: ...
@overload
def recover(engine: AsyncEngine) -> Coroutine[Any, Any, Recovery]: ...
def recover(engine: Engine | AsyncEngine) -> Recovery | Coroutine[Any, Any, Recovery]:
    """Undo what transactions did by `Transaction.outside` that were not committed.

    Import the modules that register the undos first. Of each attempt the last action is undone
    first; an undo that fails does not stop the others. May be called at any time, from any process,
    by several at once; what is at work is left alone.

    Args:
        engine: the transactions' database; one connection, which an undo has to itself. Of an
            AsyncEngine the result is to be awaited, and undos that are coroutines run on its loop.

    Returns:
        What was undone, and what was not.

    Raises:
        sqlalchemy.exc.DBAPIError: the database is away; what was recorded by then stands.
    """
    if isinstance(engine, Engine):
        return _recovered(engine)
    return greenlet_spawn(_recovered, engine.sync_engine)


def _recovered(engine: Engine) -> Recovery:
    # The look after the lock has to see what is committed by then.
    engine = engine.execution_options(isolation_level="READ COMMITTED")
    with engine.begin() as connection:
        intents.sweep(connection)
        left = intents.unsettled(connection)
    return _sorted((intent, Undoing(intent, _LEFT_BEHIND).attempt(engine.begin)) for intent in left)


def _sorted(answers: Iterable[tuple[Intent, DomainAck | NotUndone]]) -> Recovery:
    groups: dict[str, list[LeftEffect]] = defaultdict(list)
    for intent, answer in answers:
        if isinstance(answer, DomainAck):
            group = "undone" if answer.action_succeeded else "failed"
            groups[group].append(_effect(intent, answer.action_error))
        elif answer is not NotUndone.GONE:
            groups[answer.name.lower()].append(_effect(intent))
    return Recovery(**{name: tuple(effects) for name, effects in groups.items()})


def _effect(intent: Intent, error: str | None = None) -> LeftEffect:
    return LeftEffect(
        key=intent.key,
        call_id=intent.call_id,
        attempt_id=intent.attempt_id,
        ordinal=intent.ordinal,
        action=intent.action,
        undo=intent.undo,
        error=error,
    )
