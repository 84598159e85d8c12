"""Which errors of the database pass by themselves."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, OperationalError

__all__ = ["is_connection_loss", "is_lock_timeout", "is_transient"]

# The transaction lost against another one; it is rolled back, and the same work can succeed.
_SERIALIZATION_FAILURE = "40001"
_DEADLOCK_DETECTED = "40P01"
# The server is starting, stopping, or full; the same work can succeed on a later connection.
_SERVER_AWAY = frozenset({"57P01", "57P02", "57P03", "53300"})
_LOCK_NOT_AVAILABLE = "55P03"
_CONNECTION_EXCEPTION_CLASS = "08"


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
    if not (isinstance(error.orig, OSError) or hasattr(error.orig, "sqlstate")):
        return False  # of another kind of database: a user's own affair
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
