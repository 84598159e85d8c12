"""crash_at: kill -9 of a call at a named point, in a child process.

An exception would not do: it runs every `finally` and every rollback action, which a crash does
not. The child is a fork, so that any function of a test will do, with all that it holds on to. It
must not use what the parent has open: a connection that both talk on is broken for both. So each
pool of SQLAlchemy in the child passes over the connections from before the fork, without closing
them.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import traceback
import warnings
from collections.abc import Callable
from inspect import iscoroutine
from typing import Any, NoReturn

from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import Pool

from coordinator.errors import BadInput, PointNotReached
from coordinator.failpoints import arm, kill_this_process

__all__ = ["crash_at"]

_POINTS = {
    "before:work": "coordinator.begun",
    "before:commit": "coordinator.before_commit",
    "after:commit": "coordinator.committed",
}
_AFTER_OPERATION = "after:"
_OURS = "coordinator.testing.connected_in"


def crash_at(
    point: str, function: Callable[..., Any], /, *args: Any, timeout_s: float = 60.0, **kwargs: Any
) -> None:
    """Call `function(*args, **kwargs)` in a child process, and return when it died at `point`.

    What it had committed by then is in the database, and nothing else is left of it.

    Args:
        point: `before:work` (the key is claimed, nothing is done), `after:` and the name of an
            operation (`after:incident`), `before:commit` (all is written), or `after:commit` (the
            caller does not know yet).
        function: anything that can be called, also `async def`. It may use engines of the test,
            but no connection or session that is open, and no Kafka client made before.
        timeout_s: after so many seconds it is killed all the same.

    Raises:
        BadInput: there is no such point.
        PointNotReached: it returned, raised, or went on for `timeout_s`; the message says which,
            with the traceback.
    """
    failpoint = _failpoint(point)
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python warns of forks in a process with threads: a lock that one of them holds stays
        # locked. The child runs one call, and is killed if that does not end.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os.close(reading)
        _die_at(failpoint, writing, lambda: function(*args, **kwargs))
    os.close(writing)
    said = _wait(pid, reading, timeout_s)
    if said is not None:
        raise PointNotReached(f"the call was not killed at {point!r}: {said}")


def _failpoint(point: str) -> str:
    if point in _POINTS:
        return _POINTS[point]
    if point.startswith(_AFTER_OPERATION) and point != _AFTER_OPERATION:
        return f"coordinator.done:{point.removeprefix(_AFTER_OPERATION)}"
    raise BadInput("point", f"must be one of {', '.join(_POINTS)}, or after:<name of an operation>")


def _die_at(failpoint: str, writing: int, call: Callable[[], Any]) -> NoReturn:
    """The child: it never comes back into the test that it is a copy of."""
    said = "it returned"
    try:
        _leave_the_parents_connections()
        arm(failpoint, kill_this_process)
        result = call()
        if iscoroutine(result):
            asyncio.run(result)
    except BaseException:  # noqa: BLE001 - whatever it is, it goes to the parent
        said = f"it raised\n{traceback.format_exc()}"
    finally:
        os.write(writing, said.encode()[:60_000])  # below what a pipe holds
        os._exit(1)  # without the parent's exit handlers


def _leave_the_parents_connections() -> None:
    kept: list[Any] = []

    def connected(_dbapi_connection: Any, record: Any) -> None:
        record.info[_OURS] = os.getpid()

    def checked_out(dbapi_connection: Any, record: Any, proxy: Any) -> None:
        if record.info.get(_OURS) != os.getpid():
            kept.append(dbapi_connection)  # else its driver complains that nobody closed it
            record.dbapi_connection = proxy.dbapi_connection = None
            raise DisconnectionError("this connection is the parent process's")

    event.listen(Pool, "connect", connected)
    event.listen(Pool, "checkout", checked_out)


def _wait(pid: int, reading: int, timeout_s: float) -> str | None:
    """What the child said instead of dying at its point; None if it died there."""
    with os.fdopen(reading, "rb") as said:
        # The pipe ends with the process, however that ends.
        ended, _, _ = select.select([said], [], [], timeout_s)
        if not ended:
            os.kill(pid, signal.SIGKILL)
        text = said.read().decode(errors="replace")
    _, status = os.waitpid(pid, 0)
    if not ended:
        return f"it went on for {timeout_s:g} s"
    if not text and os.waitstatus_to_exitcode(status) == -signal.SIGKILL:
        return None
    return text or f"it ended with {os.waitstatus_to_exitcode(status)}"
