"""AsyncRunCompletionTransaction: RunCompletionTransaction for coroutines, on an AsyncEngine.

The facades are the same ones, and stay plain functions on a Session: they run in SQLAlchemy's
greenlet, where each statement is awaited, as `AsyncSession.run_sync` has it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypedDict, TypeVar, Unpack

from sqlalchemy.util import greenlet_spawn

from coordinator.domains.facade import CompletesTrace, CreatesIncident, EvaluatesPolicies
from coordinator.engine.async_work import AsyncEngine
from coordinator.engine.awaiting import checkpoint
from coordinator.engine.retry import RetryBudget
from coordinator.engine.transaction import EventPublisher
from coordinator.runs.completion import RunCompletionTransaction

P = ParamSpec("P")
Answer = TypeVar("Answer")


class Wiring(TypedDict, total=False):
    """The optional arguments of RunCompletionTransaction."""

    incident: CreatesIncident | None
    governance: EvaluatesPolicies | None
    trace: CompletesTrace | None
    publisher: EventPublisher | None
    topic: str
    budget: RetryBudget | None


def _awaited(
    method: Callable[Concatenate[RunCompletionTransaction, P], Answer],
) -> Callable[Concatenate[AsyncRunCompletionTransaction, P], Coroutine[Any, Any, Answer]]:
    """`method` with the same arguments, to be awaited."""

    @wraps(method)
    async def awaited(
        self: AsyncRunCompletionTransaction, /, *args: P.args, **kwargs: P.kwargs
    ) -> Answer:
        try:
            return await greenlet_spawn(partial(method, self.blocking, *args, **kwargs))
        finally:
            await checkpoint()

    return awaited


class AsyncRunCompletionTransaction:
    """Completes runs; holds no state of a call, so one may be shared by all tasks.

    Attributes:
        blocking: the same on the engine's synchronous side, for code that `run_sync` runs.
    """

    def __init__(self, engine: AsyncEngine, **wiring: Unpack[Wiring]) -> None:
        """Wire the domains.

        Args:
            engine: where the domains' tables and the outbox are, on psycopg or asyncpg.
            wiring: as RunCompletionTransaction takes them.
        """
        self.blocking = RunCompletionTransaction(engine.sync_engine, **wiring)

    execute = _awaited(RunCompletionTransaction.execute)
