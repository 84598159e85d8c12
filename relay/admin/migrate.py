"""The database schema, up and down: the same from a checkout and from an installed wheel.

The revisions lie in `migrations/` beside the package in a checkout, and inside the package
(`relay/migrations`) in a wheel.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.pool import NullPool

from relay.errors import BadConfiguration, EventsPending, SchemaMismatch
from relay.postgres.connect import connect as connect_relay
from relay.postgres.connect import translated_errors
from relay.postgres.status_reader import read_status

VERSION_TABLE = "outbox_alembic_version"
VERSION_TABLE_SCHEMA = "public"

_PACKAGE = Path(__file__).resolve().parent.parent


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema up to `revision`; nothing is done where it is there already.

    Args:
        url: libpq connection string or URL; `postgresql+psycopg://` is accepted too.
        revision: a revision id, or `head` for the newest.

    Raises:
        BadConfiguration: there is no such revision.
        Unreachable: no connection, or a table lock was not free within 3 s; nothing was changed.
    """
    with connect(url) as connection:
        command.upgrade(_config(connection), revision)


def downgrade(url: str, revision: str, *, discard_pending: bool = False) -> None:
    """Take the schema down to `revision`, with all that its later tables hold.

    Args:
        url: as for `upgrade`.
        revision: a revision id, or `base`.
        discard_pending: also when that throws away events that are not published yet.

    Raises:
        EventsPending: it would throw unpublished events away.
        BadConfiguration: there is no such revision below the present one.
        Unreachable: no connection, or a table lock was not free within 3 s; nothing was changed.
    """
    if not discard_pending and (revision == "base" or revision.startswith("-")):
        _refuse_to_discard(url)
    with connect(url) as connection:
        command.downgrade(_config(connection), revision)


def _refuse_to_discard(url: str) -> None:
    with closing(connect_relay(url, "migrate")) as connection:
        try:
            pending = read_status(connection).pending
        except SchemaMismatch:
            return
    if pending:
        raise EventsPending(
            f"{pending} committed events are not published yet, and would be lost: "
            "`relay run --until-drained` publishes them, --discard-pending throws them away"
        )


def current(url: str) -> str | None:
    """Return the revision that the database is at; None if it was never migrated."""
    with connect(url) as connection:
        context = MigrationContext.configure(
            connection,
            opts={"version_table": VERSION_TABLE, "version_table_schema": VERSION_TABLE_SCHEMA},
        )
        return context.get_current_revision()


def head() -> str:
    """Return the newest revision that this release knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise FileNotFoundError(f"no revisions in {migrations_folder()}")
    return revision


def run_sql(file_name: str) -> None:
    """Execute one file of `migrations/sql`; called by a revision.

    The text goes to the server as it stands: in SQLAlchemy's `text()` every `::` and `%` would be
    looked at.
    """
    statements = (migrations_folder() / "sql" / file_name).read_text(encoding="utf-8")
    context = op.get_context()
    if context.as_sql:
        context.impl.static_output(statements)
    else:
        op.get_bind().exec_driver_sql(statements, execution_options={"no_parameters": True})


def migrations_folder() -> Path:
    """Return the folder of the revisions: the wheel's own, else the checkout's."""
    for folder in (_PACKAGE / "migrations", _PACKAGE.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise FileNotFoundError(
        f"no migrations in or beside {_PACKAGE}: the installation is incomplete"
    )


@contextmanager
def connect(url: str) -> Iterator[Connection]:
    """Open a migration's one connection; libpq reads the address, so every form of it works."""
    address = url.replace("postgresql+psycopg://", "postgresql://", 1)
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(address, application_name="outbox-migrate"),
        poolclass=NullPool,
    )
    with translated_errors(address):
        try:
            with engine.connect() as connection:
                yield connection
        except CommandError as problem:
            raise BadConfiguration(str(problem)) from problem
        except DBAPIError as problem:
            raise _as_ours(problem) from None


def _as_ours(problem: DBAPIError) -> BaseException:
    """The driver's error, or ours where the schema itself is in the way (a table of that name)."""
    if isinstance(problem, ProgrammingError) and not isinstance(
        problem.orig, psycopg.errors.InsufficientPrivilege
    ):
        kind = type(problem.orig).__name__
        return SchemaMismatch(
            f"the migration was refused, and nothing was changed: {kind}: {_told(problem)}"
        )
    return problem.orig or problem


def _told(problem: DBAPIError) -> str:
    return str(problem.orig).splitlines()[0]


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    # ConfigParser reads a bare % as the start of an interpolation.
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
