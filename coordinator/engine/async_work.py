"""A transaction as a coroutine sees it: the engine's own one, with what waits to be awaited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar, cast
from uuid import UUID

from sqlalchemy.orm import Session
from sqlalchemy.util import await_only, greenlet_spawn

from coordinator.engine.work import Transaction
from coordinator.errors import MissingExtra, WrongUse
from coordinator.event import OutboxEvent
from coordinator.outcomes import DomainResult, Outcome

try:
    import greenlet  # noqa: F401 - SQLAlchemy itself misses it only when it first awaits
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
except ImportError as missing:
    raise MissingExtra("the asynchronous coordinator", "asyncio") from missing

# The shells take SQLAlchemy's names from here: its own import may be the one that fails.
__all__ = ["AsyncEngine", "AsyncSession", "AsyncTransaction", "waited_for"]

Answer = TypeVar("Answer")
AsyncAction = Callable[[AsyncSession], Awaitable[DomainResult | None]]
# An undo may be a plain function too: then it blocks the event loop while it runs.
AsyncUndo = Callable[[DomainResult], object]


class AsyncTransaction:
    """One attempt at one transaction; made by an AsyncCoordinator, used by one task at a time."""

    def __init__(self, transaction: Transaction, session: AsyncSession | None = None) -> None:
        """Show `transaction`; `session` is the caller's own, in one that is joined."""
        self._transaction = transaction
        self._session = session or _async_session_of(transaction.session)
        self._not_done: dict[object, str] = {}

    @property
    def session(self) -> AsyncSession:
        """The session of this transaction; only the one who began it commits or rolls back.

        Raises:
            WrongUse: the transaction is over, or an earlier call did its work.
        """
        _ = self._transaction.session  # refuses
        return self._session

    @property
    def value(self) -> Any:
        """In a transaction that is joined: JSON values that a repeat shall get."""
        return self._transaction.value

    @value.setter
    def value(self, value: Any) -> None:
        self._transaction.value = value

    @property
    def phase(self) -> str:
        """The last phase that was reached."""
        return self._transaction.phase

    @property
    def results(self) -> Mapping[str, DomainResult]:
        """What the operations have done so far, in order, by their names."""
        return self._transaction.results

    @property
    def events(self) -> Sequence[OutboxEvent]:
        """What was emitted so far, with the ids that reach Kafka."""
        return self._transaction.events

    @property
    def replayed(self) -> bool:
        """Whether an earlier call did this work; then nothing may be written, see `result`."""
        return self._transaction.replayed

    @property
    def result(self) -> Outcome:
        """What is recorded under the key; see Transaction.result."""
        return self._transaction.result

    def emit(self, event: OutboxEvent) -> UUID:
        """Have `event` written with this transaction, and return its id; see Transaction.emit."""
        return self._transaction.emit(event)

    @property
    def attempt_id(self) -> UUID:
        """Another in each attempt; see Transaction.attempt_id."""
        return self._transaction.attempt_id

    def outside(
        self, action: Callable[..., Any], *args: Any, undo: Callable[..., Any] | str
    ) -> Coroutine[Any, Any, Any]:
        """Await `action(*args)`, and have `undo(*args)` called if this does not commit.

        See Transaction.outside, which this is. Both may be plain functions too: then they block the
        event loop while they run.
        """
        name = getattr(action, "__qualname__", repr(type(action)))
        return self._done(name, self._transaction.outside, action, *args, undo=undo)

    def operation(
        self,
        name: str,
        action: AsyncAction,
        *,
        phase: str | None = None,
        undo: AsyncUndo | None = None,
    ) -> Coroutine[Any, Any, DomainResult]:
        """Do one domain's part, and return what it did; see Transaction.operation.

        Args:
            name: the domain's, 1 to 255 characters, unique in the transaction.
            action: a coroutine function; does the work on the AsyncSession that it is handed.
            phase: what is reached when `action` is done; None for `name`.
            undo: a plain or a coroutine function, of the action's result. A cancellation waits for
                its end: one that may hang needs an `asyncio.timeout` of its own.
        """

        def act(_: Session) -> DomainResult | None:
            return waited_for(name, action(self._session))

        return self._done(name, self._transaction.operation, name, act, phase=phase, undo=undo)

    def must_have_awaited(self) -> None:
        """Called by the shells at the end.

        Raises:
            WrongUse: an operation, or an action outside, was never awaited, or is still at work in
                a task: what is not done must not be recorded as done.
        """
        if self._not_done:
            names = ", ".join(sorted(map(repr, self._not_done.values())))
            raise WrongUse(f"not awaited to the end: {names}; write `await tx.operation(...)`")

    def _done(
        self, name: str, step: Callable[..., Answer], *args: Any, **kwargs: Any
    ) -> Coroutine[Any, Any, Answer]:
        call = object()
        self._not_done[call] = name

        async def do() -> Answer:
            try:
                return await greenlet_spawn(step, *args, **kwargs)
            finally:
                del self._not_done[call]

        return do()


def waited_for(name: str, coroutine: Awaitable[Answer]) -> Answer:
    """Return what `coroutine` returns; it runs in the task that started the engine.

    Raises:
        WrongUse: `name` is a plain function: it returned something else.
    """
    if not isinstance(coroutine, Awaitable):
        raise WrongUse(f"{name!r} must be an `async def` function")
    return await_only(coroutine)


def _async_session_of(session: Session) -> AsyncSession:
    # AsyncSession asks a callable for the session that it stands for: here is one already.
    return AsyncSession(sync_session_class=cast("type[Session]", lambda **_: session))
