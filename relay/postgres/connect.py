"""Connections to the database, and what its driver says of them without the secrets in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Self

import psycopg
from psycopg import IsolationLevel
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import Composable

from coordinator.outbox_schema import DEFAULT, in_schema, session_prefix
from relay import sql
from relay.address import Place, address_of
from relay.errors import SchemaMismatch, Unreachable, UnsafeDatabase
from relay.postgres.certificates import explained

__all__ = ["SILENCE_MAX_MS", "Connection", "connect", "pinned_transaction", "translated_errors"]

Connection = psycopg.Connection[tuple[object, ...]]

CONNECT_TIMEOUT_S = 2
"""The least that libpq takes; a standby's connection must not outlast a lease."""
_SESSION = sql.load("session")
SECRET_CHARACTERS_MIN = 4
SILENCE_MAX_MS = 10_000
"""A peer that acknowledges nothing for so long is taken for gone.

A black hole is noticed within 15 s.
"""

_LOST = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    # Said of a session that the server ended; it is not among the operational errors.
    psycopg.errors.IdleInTransactionSessionTimeout,
)

_URL_CREDENTIALS = re.compile(r"(?<=://)[^@/\s]*(?=@)")
_PASSWORD = re.compile(r"(?i)(password|passfile|sslpassword)\s*=\s*('[^']*'|\S+)")


def connect(place: Place, purpose: str, silence_max_ms: int = SILENCE_MAX_MS) -> Connection:
    """A connection in autocommit, named `relay <purpose>` in pg_stat_activity; raises Unreachable.

    The name of one for an outbox in another schema than `outbox` is `relay@<schema> <purpose>`, and
    what is executed on it is translated: statements are written for the schema `outbox`.

    No statement is prepared on the server, and no setting is made for the session: both would be
    lost or leak behind a pooler in transaction mode.
    """
    address = address_of(place)
    with translated_errors(address):
        connection = psycopg.connect(
            address.url,
            autocommit=True,
            client_encoding="UTF8",
            prepare_threshold=None,
            application_name=f"{session_prefix(address.schema)} {purpose}",
            cursor_factory=_cursors_in(address.schema),
            connect_timeout=CONNECT_TIMEOUT_S,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=silence_max_ms,
        )
    # The database's default may be serializable, which fails transactions that met others.
    connection.isolation_level = IsolationLevel.READ_COMMITTED
    return connection


@cache
def _cursors_in(schema: str) -> type[psycopg.Cursor[Any]]:
    """What executes statements; the driver's own where there is nothing to translate."""
    if schema == DEFAULT:
        return psycopg.Cursor

    class InSchema(psycopg.Cursor[Any]):
        def execute(self, query: Any, *args: Any, **options: Any) -> Self:
            text = query.as_string(self) if isinstance(query, Composable) else query
            return super().execute(in_schema(text, schema).encode(), *args, **options)

    return InSchema


@contextmanager
def pinned_transaction(connection: Connection, limit_s: float = 0.0) -> Iterator[None]:
    """A transaction whose plans and durability do not depend on the server's settings.

    In a pipeline: BEGIN and the settings travel with the first statement, and COMMIT with whatever
    was not waited for, so a transaction whose answers are fetched behind it is one round trip.
    What is fetched there is committed; a statement that failed is raised by this block's end.
    `psycopg.Rollback` raised in it takes all back, and goes no further. `limit_s`: what one
    statement may take, at the least a millisecond; 0: as long as it takes.

    Naive: the driver's own transaction() in its pipeline. It asks for all answers before it sends
    COMMIT, which is two round trips more. Here COMMIT follows unasked, and that is safe: of a
    pipeline the server skips everything behind an error.
    """
    try:
        with connection.pipeline():
            connection.execute(_SESSION["session_begin"])
            connection.execute(_SESSION["session_pinned"])
            if limit_s:
                bound = {"limit": f"{limit_s * 1_000:.0f}ms"}
                connection.execute(_SESSION["session_limited"], bound)
            yield
            connection.execute(_SESSION["session_commit"])
    except BaseException as problem:
        # A connection that is gone has rolled back already, and the reason it went is what counts.
        with suppress(psycopg.OperationalError):
            connection.rollback()
        if not isinstance(problem, psycopg.Rollback):
            raise


@contextmanager
def translated_errors(place: Place = "") -> Iterator[None]:
    """Turn the driver's errors into ours: a lost or refused connection, a missing schema.

    Others are bugs and pass.
    """
    try:
        yield
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as problem:
        raise SchemaMismatch(
            "the outbox schema is missing or of another version: run `relay migrate`"
        ) from problem
    except psycopg.errors.InsufficientPrivilege as problem:
        denied = f"database: {problem.diag.message_primary}"
        raise UnsafeDatabase(f"{denied}: see the README, under Roles") from None
    except psycopg.errors.ReadOnlySqlTransaction:
        raise Unreachable(
            "database: it is a standby; events are published from the primary"
        ) from None
    except _LOST as problem:
        url = address_of(place).url
        raise Unreachable(f"database: {_scrubbed(explained(str(problem), url), url)}") from None


def _scrubbed(text: str, url: str) -> str:
    """The driver's text on one line, without the password, however it got in there."""
    for secret in _secrets(url):
        text = text.replace(secret, "***")
    text = _URL_CREDENTIALS.sub("***", text)
    text = _PASSWORD.sub(r"\1=***", text)
    return " ".join(text.split()) or "connection lost"


def _secrets(url: str) -> list[str]:
    try:
        parameters = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return [url]
    found = [str(v) for k, v in parameters.items() if "pass" in k and v]
    # A shorter one would be cut out of innocent words, and be told by that.
    return [secret for secret in found if len(secret) >= SECRET_CHARACTERS_MIN]
