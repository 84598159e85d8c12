"""AsyncCoordinator: the same engine as Coordinator's, for coroutines.

Nothing is decided here: `Coordinator` runs in SQLAlchemy's greenlet, and what it calls or waits for
is awaited; see `awaiting`. So both give the same guarantees, and read the same records: what one
has done the other finds.

Cancellation (a client that went away, `asyncio.timeout`): until the commit it ends the attempt,
which is rolled back; undo actions run to their end first. From the commit on it waits for the
outcome. Either way it reaches the caller afterwards, and the same call later finds what was done.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any

from sqlalchemy.util import greenlet_spawn

from coordinator.engine.async_work import AsyncEngine, AsyncSession, AsyncTransaction, waited_for
from coordinator.engine.awaiting import checkpoint
from coordinator.engine.call_arguments import Key
from coordinator.engine.coordinator import Coordinator
from coordinator.engine.retry import RetryBudget
from coordinator.engine.work import Transaction
from coordinator.outbox.writer import Outbox
from coordinator.outcomes import Outcome


class AsyncCoordinator:
    """Runs transactions under keys; holds no state of a call, so all tasks may share one."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        budget: RetryBudget | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        """Wire it.

        Args:
            engine: where the rows and the outbox are, on psycopg or asyncpg; one connection a call.
            budget: how long transient errors are tried again; its pauses do not block others.
            outbox: takes the events, where a database has several; the one of the schema `outbox`.
        """
        self._coordinator = Coordinator(engine.sync_engine, budget=budget, outbox=outbox)

    async def run(
        self, fn: Callable[..., Awaitable[Any]], /, *args: Any, key: Key, **kwargs: Any
    ) -> Outcome:
        """Await `fn(tx, *args, **kwargs)` and commit what it did, once for each key.

        See Coordinator.run, which this is: arguments, results and errors are the same. `fn` is a
        coroutine function, and is awaited in the caller's own task.
        """
        try:
            return await greenlet_spawn(self._coordinator.run, _plain(fn), *args, key=key, **kwargs)
        finally:
            await checkpoint()

    @asynccontextmanager
    async def join(
        self, session: AsyncSession, *, key: Key, arguments: Mapping[str, Any] | None = None
    ) -> AsyncIterator[AsyncTransaction]:
        """Do the work of a block in the transaction of `session`, once for each key.

        See Coordinator.join, which this is.
        """
        block = self._coordinator.join(session.sync_session, key=key, arguments=arguments)
        tx = await greenlet_spawn(block.__enter__)
        try:
            shown = AsyncTransaction(tx, session)
            yield shown
            shown.must_have_awaited()
        except BaseException as error:
            await greenlet_spawn(block.__exit__, type(error), error, error.__traceback__)
            raise
        await greenlet_spawn(block.__exit__, None, None, None)


def _plain(fn: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    """`fn` as the engine calls it: of the same name and arguments, which a repeat has to bring."""
    name = getattr(fn, "__qualname__", repr(type(fn)))

    @wraps(fn, updated=())
    def plain(tx: Transaction, *args: Any, **kwargs: Any) -> Any:
        shown = AsyncTransaction(tx)
        value = waited_for(name, fn(shown, *args, **kwargs))
        shown.must_have_awaited()
        return value

    plain.__qualname__ = name
    return plain
