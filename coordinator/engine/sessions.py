"""The sessions that the engine works with: opened on a connection, closed whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from coordinator.engine.awaiting import to_its_end
from coordinator.session_guard import GuardedSession


def new_session(engine: Engine) -> GuardedSession:
    """Return a session that its user cannot end, and nobody can use after its end."""
    return GuardedSession(engine, expire_on_commit=False, close_resets_only=False)


@contextmanager
def opened(session: Session) -> Iterator[Session]:
    """Connect `session`, and close it at the end, also where the task is cancelled meanwhile.

    Raises:
        sqlalchemy.exc.DBAPIError: the database could not be reached.
    """
    try:
        _connect(session)
        yield session
    finally:
        to_its_end(session.close)


def _connect(session: Session) -> None:
    """Take a connection now, where an OSError is the network's and not the user's own.

    SQLAlchemy passes asyncpg's errors of connecting on as they are; of a statement it wraps them.
    """
    try:
        session.connection()
    except Exception as error:
        if isinstance(error, OSError) or hasattr(error, "sqlstate"):
            raise OperationalError(None, None, error) from error
        raise
