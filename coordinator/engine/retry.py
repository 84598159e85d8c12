"""Which errors of the database are tried again, and within which budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity
from sqlalchemy.exc import DBAPIError, OperationalError

from coordinator.engine.awaiting import pause

Answer = TypeVar("Answer")

# The transaction lost against another one; it is rolled back, and the same work can succeed.
_SERIALIZATION_FAILURE = "40001"
_DEADLOCK_DETECTED = "40P01"
# The server is starting, stopping, or full; the same work can succeed on a later connection.
_SERVER_AWAY = frozenset({"57P01", "57P02", "57P03", "53300"})
_LOCK_NOT_AVAILABLE = "55P03"
_CONNECTION_EXCEPTION_CLASS = "08"


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """How long the same work is tried again.

    Attributes:
        attempts_max: the first one included.
        total_s: seconds from the start of the first attempt; none is started later.
        wait_first_s, wait_max_s: bounds of the pause; it doubles, and its length is random below
            the bound, so that two that met in a deadlock do not meet again.
    """

    attempts_max: int = 40
    total_s: float = 15.0
    wait_first_s: float = 0.02
    wait_max_s: float = 2.0

    def spend(self, work: Callable[[], Answer], again: Callable[[BaseException], bool]) -> Answer:
        """Return what `work` returns; call it again after errors that `again` accepts.

        Raises:
            BaseException: the error of the last attempt, as it is.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(again),
            stop=tenacity.stop_after_attempt(self.attempts_max)
            | tenacity.stop_before_delay(self.total_s),
            wait=tenacity.wait_random_exponential(self.wait_first_s, max=self.wait_max_s),
            sleep=pause,
            reraise=True,
        )
        return retrying(work)


def is_transient(error: BaseException | None) -> bool:
    """Tell whether the same work may succeed later; an error's causes are looked at too."""
    while error is not None:
        if isinstance(error, DBAPIError):
            return _lost_a_race(error) or is_connection_loss(error)
        error = error.__cause__
    return False


def is_connection_loss(error: BaseException) -> bool:
    """Tell whether the connection, or the attempt to make one, broke."""
    if not isinstance(error, DBAPIError):
        return False
    state = _sqlstate(error)
    if state is None:
        # libpq's own errors have no SQLSTATE: refused, reset, closed by the peer. Nor has an
        # InterfaceError, and asyncpg's is the caller's fault where its connection still works: too
        # few arguments, or two statements at once.
        return error.connection_invalidated or isinstance(error, OperationalError)
    return state in _SERVER_AWAY or state.startswith(_CONNECTION_EXCEPTION_CLASS)


def is_lock_timeout(error: DBAPIError) -> bool:
    """Tell whether a lock was not free within the statement's limit."""
    return _sqlstate(error) == _LOCK_NOT_AVAILABLE


def _lost_a_race(error: DBAPIError) -> bool:
    return _sqlstate(error) in (_SERIALIZATION_FAILURE, _DEADLOCK_DETECTED)


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)
