"""The session that a domain gets: it works like any other, but only the coordinator ends it.

Naive: hand out a plain session and trust its users. One that commits makes two transactions of
"one", and what fails afterwards is half written. So, while a domain's code runs in this thread or
task:

- commit, rollback, close and the like of its session are refused before they act;
- so are a commit of the Connection below it, SQL text that ends a transaction, and the checkout of
  another connection to the same database (a domain that opens a session of its own), from this
  engine or from any other in the process;
- a rollback of the Connection is not refused but remembered, and fails the operation when it
  returns: SQLAlchemy itself rolls back there after a failed flush, and that error must be seen;
- a refusal that the domain's code swallows fails the operation as well.

What goes round SQLAlchemy, through the raw driver's connection, meets the claim: see `run_claims`
and `transaction_claims`, whose deferred key lets PostgreSQL refuse that commit.

Not seen: a connection that the driver makes without SQLAlchemy, one of another driver than psycopg
from an engine of its own, one through another address of the same server (a pooler, say), and what
a domain has another thread do. Nor can another database be in the same transaction, so a connection
there is the domain's own affair.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NoReturn

import psycopg
from sqlalchemy import Connection, Engine, Pool, RootTransaction, event
from sqlalchemy.orm import Session, SessionTransaction

from coordinator.callers import caller
from coordinator.errors import FacadeEndedTransaction, WrongUse

# ROLLBACK TO a savepoint ends no transaction. Comments may stand before the word.
_ENDS_TRANSACTION = re.compile(
    r"""(?:\s | --[^\n]*\n | /\*.*?\*/ | ;)*
        (?:commit | end | abort | begin | start\s+transaction | prepare\s+transaction
           | rollback (?!\s+(?:(?:work|transaction)\s+)?to\b))\b""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)

# SQLAlchemy's own are named so; `begin_nested` is seen without looking at statements.
_RAW_SAVEPOINT = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/|;)*savepoint\s+(?!sa_savepoint_)", re.IGNORECASE | re.DOTALL
)


@dataclass(slots=True)
class _Running:
    operation: str
    within: _Running | None
    session: Session
    acts_outside: bool = False
    connection: Connection | None = None
    transaction: RootTransaction | None = None
    offences: list[FacadeEndedTransaction] = field(default_factory=list)
    is_over: bool = False
    made_savepoint: bool = False


# A context variable, not an attribute of the session: a second session or connection that is used
# by the same code must be recognised too, and other threads must not. A task that the code starts
# has a copy, and may outlive it: so the value itself knows when it is over.
_running: ContextVar[_Running | None] = ContextVar("running domain operation", default=None)

# Where coordinators have worked: address, port and name of the database.
_databases: set[tuple[str, int, str]] = set()


@contextmanager
def guarded(session: Session, operation: str, *, acts_outside: bool = False) -> Iterator[None]:
    """Refuse what only the coordinator may do, until the block ends; blocks may lie in each other.

    Args:
        session: whose end is refused.
        operation: stands in the refusal.
        acts_outside: the block may do things outside the transaction, on connections of its own;
            only the end of `session` is refused.

    Raises:
        FacadeEndedTransaction: the block did it, and swallowed the refusal.
    """
    running = _Running(operation, _running.get(), session, acts_outside)
    if acts_outside:
        # Now, not when a hook needs it: in the middle of a rollback the session would refuse.
        running.connection = session.connection()
        running.transaction = running.connection.get_transaction()
    token = _running.set(running)
    try:
        yield
    finally:
        _running.reset(token)
        running.is_over = True
        if _was_ended(running):
            running.offences.append(FacadeEndedTransaction(operation, "connection.rollback()"))
        if running.offences:
            # A commit that was refused leaves the driver's transaction open, while SQLAlchemy holds
            # it for ended: the pool would hand half of this one to the next.
            with unguarded():
                session.invalidate()
    if running.offences:
        raise running.offences[0]


def _was_ended(running: _Running) -> bool:
    """Tell whether a block that acts outside rolled its own transaction back behind the session.

    After a failed flush SQLAlchemy itself did, and the session says so to whoever uses it next.
    """
    if running.connection is None or not running.session.is_active:
        return False
    return running.connection.get_transaction() is not running.transaction


@contextmanager
def unguarded() -> Iterator[None]:
    """Let the engine itself use other connections in the middle of a domain's code."""
    token = _running.set(None)
    try:
        yield
    finally:
        _running.reset(token)


def made_savepoint_in_sql() -> bool:
    """Tell whether the code that runs made a savepoint by a statement of its own."""
    return any(running.made_savepoint for running in _around())


def watch(engine: Engine) -> None:
    """Have the guard see the connections of `engine`; a second call changes nothing.

    Raises:
        WrongUse: it is none.
    """
    must_be_an_engine(engine)
    event.listen(engine, "commit", _on_commit)
    event.listen(engine, "rollback", _on_rollback)
    event.listen(engine, "before_cursor_execute", _on_execute)
    event.listen(engine, "checkout", _on_checkout)


def must_be_an_engine(given: object) -> None:
    """Refuse anything else.

    Raises:
        WrongUse: by its type alone: an address may hold a password.
    """
    if not isinstance(given, Engine):
        hint = "; an AsyncEngine is for AsyncCoordinator" if hasattr(given, "sync_engine") else ""
        raise WrongUse(f"engine: must be a SQLAlchemy Engine, not {type(given).__name__}{hint}")


class GuardedSession(Session):
    """A session whose end is refused while a domain's code runs; savepoints are free to use."""

    def commit(self) -> None:
        """Refused to a domain."""
        _refuse("session.commit()", self)
        super().commit()

    def rollback(self) -> None:
        """Refused to a domain."""
        _refuse("session.rollback()", self)
        super().rollback()

    def close(self) -> None:
        """Refused to a domain."""
        _refuse("session.close()", self)
        super().close()

    def reset(self) -> None:
        """Refused to a domain."""
        _refuse("session.reset()", self)
        super().reset()

    def invalidate(self) -> None:
        """Refused to a domain."""
        _refuse("session.invalidate()", self)
        super().invalidate()

    def prepare(self) -> None:
        """Refused to a domain."""
        _refuse("session.prepare()", self)
        super().prepare()

    def begin(self, nested: bool = False) -> SessionTransaction:
        """Refused to a domain, but for a savepoint."""
        if not nested:
            _refuse("session.begin()", self)
        return super().begin(nested)


def _present() -> _Running | None:
    running = _running.get()
    while running is not None and running.is_over:
        running = running.within
    return running


def _around() -> Iterator[_Running]:
    running = _present()
    while running is not None:
        yield running
        running = running.within


def _refuse(deed: str, session: Session | None = None) -> None:
    running = _present()
    if running is None:
        return
    if running.acts_outside and session is not None and session is not running.session:
        return  # one of its own: a coordinator's, say, that the handler calls
    _offend(running, deed)


def _offend(running: _Running, deed: str) -> NoReturn:
    offence = _offence(running, deed)
    running.offences.append(offence)
    raise offence


def _offence(running: _Running, deed: str) -> FacadeEndedTransaction:
    place = caller()
    if place is None:
        return FacadeEndedTransaction(running.operation, deed)
    return FacadeEndedTransaction(running.operation, deed, place.file, place.line)


def _concerned(connection: Connection) -> bool:
    """Tell whether the transaction on `connection` is not for the running code to end."""
    running = _present()
    if running is None:
        return False
    return not running.acts_outside or connection is running.connection


def _on_commit(connection: Connection) -> None:
    if _concerned(connection):
        _refuse("connection.commit()")


def _on_rollback(_connection: Connection) -> None:
    running = _present()
    # Of a block that acts outside, the end is looked at: see `_was_ended`.
    if running is not None and not running.acts_outside:
        running.offences.append(_offence(running, "connection.rollback()"))


def _on_execute(
    connection: Connection, _cursor: Any, statement: str, *_parameters_context_many: Any
) -> None:
    running = _present()
    if running is not None and _RAW_SAVEPOINT.match(statement):
        running.made_savepoint = True
    if running is None or not (found := _ENDS_TRANSACTION.match(statement)):
        return
    if _concerned(connection):
        _refuse(f"the statement {found.group().strip().upper()}")


def _on_checkout(connection: Any, *_record_proxy: Any) -> None:
    running = _present()
    if running is None or not running.acts_outside:
        _refuse("for another connection of the engine")
    if (database := _database_of(connection)) is not None:
        _databases.add(database)


@event.listens_for(Pool, "checkout")
def _on_any_checkout(connection: Any, *_record_proxy: Any) -> None:
    running = _present()
    if running is None or running.acts_outside:
        return
    if _database_of(connection) in _databases:
        _refuse("for another connection to the same database")


def _database_of(connection: Any) -> tuple[str, int, str] | None:
    driver = getattr(connection, "driver_connection", connection)
    if not isinstance(driver, psycopg.Connection | psycopg.AsyncConnection):
        return None
    return driver.info.hostaddr or driver.info.host, driver.info.port, driver.info.dbname
