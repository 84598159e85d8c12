"""How the one synchronous engine waits where a coroutine started it: by awaiting.

The engine decides and acts in plain calls. `AsyncCoordinator` runs it in SQLAlchemy's greenlet, so
that each statement is awaited on the caller's event loop; what waits beside the statements comes
through here. Outside a greenlet these functions are the plain blocking ones.

The doors of SQLAlchemy: `run_sync` of an AsyncSession is the documented one, but what it runs has
none back to a coroutine, and a user's function is one. So `greenlet_spawn` and `await_only` of
`sqlalchemy.util`, which dialects outside SQLAlchemy are built on.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from inspect import isawaitable
from typing import Any, TypeVar, cast

from sqlalchemy.util import await_only, greenlet_spawn
from sqlalchemy.util.concurrency import in_greenlet
from tenacity.nap import sleep as block

Answer = TypeVar("Answer")


def pause(seconds: float) -> None:
    """Do nothing for `seconds`; others on the event loop go on."""
    if awaits():
        await_only(asyncio.sleep(seconds))
    else:
        block(seconds)


def settled(answer: object) -> None:
    """Wait for what an undo function returned, if that is to be awaited.

    Raises:
        RuntimeError: it was cancelled; as an error like others, which stops no other undo.
    """
    if isawaitable(answer):
        try:
            await_only(answer)
        except asyncio.CancelledError as error:
            raise RuntimeError("was cancelled") from error


def to_its_end(step: Callable[[], Answer]) -> Answer:
    """Return what `step` returns; a cancellation meanwhile waits until it is done.

    For what must not be left half way: a commit, whose outcome would be unknown; the undo actions;
    the rollback on a connection that goes back to the pool. How long that may take is the driver's
    to say, and the network's.

    Naive: `asyncio.shield` alone. The caller goes on at once, while the step still uses his
    session. And one shield is not enough: anyio, below FastAPI, cancels again and again until the
    task has left its scope.
    """
    if not awaits():
        return step()
    raised: list[BaseException] = []

    def caught() -> Answer | None:
        """A KeyboardInterrupt that left the task would end the loop, and the engine not see it."""
        try:
            return step()
        except BaseException as problem:  # noqa: BLE001 - raised again below
            raised.append(problem)
            return None

    answer = await_only(_to_its_end(greenlet_spawn(caught)))
    if raised:
        raise raised[0]
    return cast("Answer", answer)


async def checkpoint() -> None:
    """Let a cancellation that `to_its_end` held back happen now, and not in the caller's code."""
    await asyncio.sleep(0)


async def _to_its_end(step: Coroutine[Any, Any, Answer]) -> Answer:
    task = asyncio.ensure_future(step)
    held: asyncio.CancelledError | None = None
    with _shielded():
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                held = error
    if held is not None:
        _cancel_again(held)
    return task.result()


def _shielded() -> AbstractContextManager[object]:
    """From anyio's scopes: they cancel anew in each turn of the loop, which keeps it busy."""
    anyio = sys.modules.get("anyio")
    return nullcontext() if anyio is None else anyio.CancelScope(shield=True)


def _cancel_again(held: asyncio.CancelledError) -> None:
    current = asyncio.current_task()
    assert current is not None
    # As many requests as before, with the same message: `asyncio.timeout` counts the former, anyio
    # reads the latter, to tell whether the cancellation is its own.
    current.uncancel()
    current.cancel(*held.args)


def awaits() -> bool:
    """Tell whether a coroutine started this code, so that waiting is awaiting."""
    # Where nobody has imported greenlet, nothing runs in one; it need not be installed.
    return sys.modules.get("greenlet") is not None and in_greenlet()
