"""The database schema, up and down, or as SQL: the same from a checkout and from a wheel.

The revisions lie in `migrations/` beside the package in a checkout, and inside the package
(`relay/migrations`) in a wheel.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from io import StringIO
from typing import TextIO

import psycopg
from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.pool import NullPool

from coordinator.migrating import (
    VERSION_TABLE_SCHEMA,
    migrations_folder,
    run_file,
    version_table,
)
from coordinator.outbox_schema import DEFAULT
from relay import sql
from relay.address import Place, address_of
from relay.errors import BadConfiguration, EventsPending, SchemaMismatch
from relay.postgres.connect import connect as connect_relay
from relay.postgres.connect import translated_errors
from relay.postgres.status_reader import read_status

__all__ = [
    "connect",
    "current",
    "downgrade",
    "downgrade_sql",
    "head",
    "migrations_folder",
    "planned",
    "run_sql",
    "upgrade",
    "upgrade_sql",
]


def upgrade(place: Place, revision: str = "head") -> None:
    """Bring the schema up to `revision`; nothing is done where it is there already.

    Args:
        place: libpq connection string or URL, or with a schema; `postgresql+psycopg://` is
            accepted too. In another schema than `outbox` an outbox is made and no more: inbox and
            records of transactions are the database's, and come with `outbox`.
        revision: a revision id, or `head` for the newest.

    Raises:
        BadConfiguration: there is no such revision.
        Unreachable: no connection, or a table lock was not free within 3 s; nothing was changed.
    """
    with connect(place) as connection:
        command.upgrade(_config(connection, address_of(place).schema), revision)


def downgrade(place: Place, revision: str, *, discard_pending: bool = False) -> None:
    """Take the schema down to `revision`, with all that its later tables hold.

    Args:
        place: as for `upgrade`.
        revision: a revision id, or `base`.
        discard_pending: also when that throws away what is not done yet.

    Raises:
        EventsPending: it would throw away unpublished events, records that are parked, or effects
            outside that are to be undone.
        BadConfiguration: there is no such revision below the present one.
        Unreachable: no connection, or a table lock was not free within 3 s; nothing was changed.
    """
    with connect(place) as connection:
        if not discard_pending:
            _refuse_to_lose(place, connection, revision)
        command.downgrade(_config(connection, address_of(place).schema), revision)


def planned(
    place: Place, down: str | None = None, *, discard_pending: bool = False
) -> tuple[str, ...]:
    """Return the revisions that `upgrade` would run, or `downgrade` to `down` take back, in order.

    Raises as they do, and changes nothing.
    """
    with connect(place) as connection:
        if down is not None and not discard_pending:
            _refuse_to_lose(place, connection, down)
        present = _revision_of(connection, address_of(place).schema)
    with _named_revisions():
        script = ScriptDirectory.from_config(_config())
        if down is None:
            above = script.iterate_revisions("head", present or "base")
            return tuple(one.revision for one in above)[::-1]
        below = script.iterate_revisions(present, down) if present else ()
        return tuple(one.revision for one in below)


def _refuse_to_lose(place: Place, connection: Connection, revision: str) -> None:
    if revision == "base" or revision.startswith("-"):
        _refuse_to_discard(place)
    _refuse_to_drop_waiting(connection, revision, address_of(place).schema)


def _refuse_to_discard(place: Place) -> None:
    """Refuse while a relay leads, or events wait."""
    with closing(connect_relay(place, "migrate")) as connection:
        try:
            found = read_status(connection)
        except SchemaMismatch:
            return
    if pending := found.pending + found.parked:
        raise EventsPending(
            f"{pending} committed events are not published yet, and would be lost: "
            "`relay run --until-drained` publishes them, but for those of `relay parked list`; "
            "--discard-pending throws them away"
        )
    if found.leader is not None:
        raise EventsPending(
            f"{found.leader} leads: stop all relays first, their tables would go from under them; "
            "--discard-pending does not mind"
        )


def _refuse_to_drop_waiting(connection: Connection, revision: str, schema: str) -> None:
    if schema != DEFAULT:
        return  # those tables are the database's, and stay
    dropped = _revisions_above(connection, revision, schema)
    for made_by, (waiting, what_to_do) in _WAITING.items():
        if made_by in dropped and (count := connection.exec_driver_sql(_SQL[waiting]).scalar()):
            raise EventsPending(f"{count} {what_to_do}; --discard-pending throws them away")
    connection.rollback()  # what looked must not hold a lock under the revisions' own transaction


def _revisions_above(connection: Connection, revision: str, schema: str) -> set[str]:
    present = _revision_of(connection, schema)
    if present is None:
        return set()
    lower = "base" if revision.startswith("-") else revision
    with _named_revisions():
        script = ScriptDirectory.from_config(_config())
        return {one.revision for one in script.iterate_revisions(present, lower)}


# What a table may hold that nobody else knows of, by the revision that made it.
_WAITING = {
    "0009_expand_parked": (
        "downgrade_parked",
        "records of consumers are parked, and would be lost: release or discard them",
    ),
    "0007_expand_intents": (
        "downgrade_not_undone",
        "effects outside the database are not undone yet: `relay recover` undoes them",
    ),
}
_SQL = sql.load("downgrade")


def upgrade_sql(since: str | None = None, schema: str = DEFAULT) -> str:
    """Return the SQL that `upgrade` runs, for tools that take a script.

    Args:
        since: the revision that the database is at; None for one without our schema.
        schema: of the outbox.

    Raises:
        BadConfiguration: there is no such revision.
    """
    return _printed(command.upgrade, f"{since}:head" if since else "head", schema)


def downgrade_sql(revision: str, since: str | None = None, schema: str = DEFAULT) -> str:
    """Return the SQL that `downgrade` runs.

    Args:
        revision: a revision id, or `base`.
        since: the revision that the database is at; None for the newest.
        schema: of the outbox.

    Raises:
        BadConfiguration: there is no such revision.
    """
    return _printed(command.downgrade, f"{since or head()}:{revision}", schema)


def current(place: Place) -> str | None:
    """Return the revision that the outbox is at; None if it was never migrated."""
    with connect(place) as connection:
        return _revision_of(connection, address_of(place).schema)


def _revision_of(connection: Connection, schema: str) -> str | None:
    context = MigrationContext.configure(
        connection,
        opts={"version_table": version_table(schema), "version_table_schema": VERSION_TABLE_SCHEMA},
    )
    return context.get_current_revision()


def head() -> str:
    """Return the newest revision that this release knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise FileNotFoundError(f"no revisions in {migrations_folder()}")
    return revision


def run_sql(file_name: str) -> None:
    """Execute one file of `migrations/sql`; called by a revision."""
    run_file(op, file_name, op.get_context().opts["outbox_schema"])


@contextmanager
def connect(place: Place) -> Iterator[Connection]:
    """Open a migration's one connection; libpq reads the address, so every form of it works."""
    address = address_of(place).url.replace("postgresql+psycopg://", "postgresql://", 1)
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(address, application_name="outbox-migrate"),
        poolclass=NullPool,
    )
    with translated_errors(address):
        try:
            with engine.connect() as connection, _named_revisions():
                yield connection
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


@contextmanager
def _named_revisions() -> Iterator[None]:
    """A revision that does not exist was named by the caller."""
    try:
        yield
    except (CommandError, RevisionError) as problem:
        raise BadConfiguration(str(problem)) from problem


def _printed(direction: Callable[..., None], revisions: str, schema: str) -> str:
    script = StringIO()
    with _named_revisions():
        direction(_config(schema=schema, output=script), revisions, sql=True)
    return script.getvalue()


def _config(
    connection: Connection | None = None, schema: str = DEFAULT, output: TextIO = sys.stdout
) -> Config:
    config = Config(output_buffer=output)
    # ConfigParser reads a bare % as the start of an interpolation.
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["schema"] = schema
    return config
