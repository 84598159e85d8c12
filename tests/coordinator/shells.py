"""The shells of the coordinator, each driven by the same plain test.

An asynchronous one needs coroutines, and the tests are written without: so what a test hands over
becomes a coroutine function here, and what is to be awaited is awaited here. The body of a test
runs in a greenlet of its own, see `conftest`: so a plain Session on an AsyncEngine works in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, wraps
from threading import get_ident
from typing import Any, Protocol, TypeVar, cast

from sqlalchemy import Engine, NullPool
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.util import await_only, greenlet_spawn
from sqlalchemy.util.concurrency import in_greenlet

from coordinator import (
    AsyncCoordinator,
    AsyncTransaction,
    Coordinator,
    DomainResult,
    Outcome,
    RetryBudget,
    Transaction,
)

Answer = TypeVar("Answer")
Action = Callable[[Session], DomainResult | None]


class Shell(Protocol):
    """Makes coordinators on the database of an engine."""

    def __call__(self, engine: Engine, *, budget: RetryBudget | None = None) -> Coordinator:
        """A coordinator, or what is called in the same way."""

    def engine(self, engine: Engine) -> Engine:
        """An engine on the same database and with the same options, for sessions to join."""


class Blocking:
    """Coordinator itself."""

    def __call__(self, engine: Engine, *, budget: RetryBudget | None = None) -> Coordinator:
        return Coordinator(engine, budget=budget)

    def engine(self, engine: Engine) -> Engine:
        return engine


@dataclass(frozen=True)
class Awaiting:
    """AsyncCoordinator on a driver."""

    driver: str

    def __call__(self, engine: Engine, *, budget: RetryBudget | None = None) -> Coordinator:
        return cast("Coordinator", _Adapter(self.driver, engine, budget))

    def engine(self, engine: Engine) -> Engine:
        return _async_engine(self.driver, engine, get_ident()).sync_engine


# The same one for a test's coordinators and sessions, as a coordinator watches its engine; but one
# for each thread, as each has an event loop of its own.
@lru_cache(maxsize=16)
def _async_engine(driver: str, engine: Engine, _thread: int) -> AsyncEngine:
    url = engine.url.set(drivername=f"postgresql+{driver}")
    # No pool: a thread's loop ends before the thread.
    made = create_async_engine(url, poolclass=NullPool)
    return made.execution_options(**engine.get_execution_options())


SHELLS: dict[str, Shell] = {
    "blocking": Blocking(),
    "awaiting psycopg": Awaiting("psycopg"),
    "awaiting asyncpg": Awaiting("asyncpg"),
}


def awaited(coroutine: Coroutine[Any, Any, Answer]) -> Answer:
    """What `coroutine` returns: on the loop of the test, or of this thread alone."""
    return await_only(coroutine) if in_greenlet() else asyncio.run(coroutine)


def on_a_loop(body: Callable[..., Answer], *args: Any) -> Answer:
    """What `body` returns, run in this thread as the body of a test is."""
    return asyncio.run(greenlet_spawn(body, *args))


class _Adapter:
    """Called like a Coordinator."""

    def __init__(self, driver: str, engine: Engine, budget: RetryBudget | None) -> None:
        self._driver, self._engine, self._budget = driver, engine, budget

    @property
    def _coordinator(self) -> AsyncCoordinator:
        engine = _async_engine(self._driver, self._engine, get_ident())
        return AsyncCoordinator(engine, budget=self._budget)

    def run(self, fn: Callable[..., Any], /, *args: Any, key: Any, **kwargs: Any) -> Outcome:
        @wraps(fn, updated=())
        async def coroutine_function(tx: AsyncTransaction, *args: Any, **kwargs: Any) -> Any:
            return await greenlet_spawn(fn, _as_transaction(tx), *args, **kwargs)

        return awaited(self._coordinator.run(coroutine_function, *args, key=key, **kwargs))

    @contextmanager
    def join(self, session: Session, **options: Any) -> Iterator[Transaction]:
        own = AsyncSession(sync_session_class=cast("type[Session]", lambda **_: session))
        block = self._coordinator.join(own, **options)
        tx = await_only(block.__aenter__())
        try:
            yield _as_transaction(tx)
        except BaseException as error:
            if not await_only(block.__aexit__(type(error), error, error.__traceback__)):
                raise
        else:
            await_only(block.__aexit__(None, None, None))


def _as_transaction(tx: AsyncTransaction) -> Transaction:
    return cast("Transaction", _TransactionAdapter(tx))


class _TransactionAdapter:
    """Used like a Transaction."""

    def __init__(self, tx: AsyncTransaction) -> None:
        self.__dict__["_tx"] = tx

    @property
    def session(self) -> Session:
        return cast("Session", self._tx.session.sync_session)

    def operation(self, name: str, action: Action, **options: Any) -> DomainResult:
        async def act(session: AsyncSession) -> DomainResult | None:
            return await greenlet_spawn(action, session.sync_session)

        return cast("DomainResult", await_only(self._tx.operation(name, act, **options)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_tx"], name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._tx, name, value)
