"""The outbox's schema inside the user's own Alembic project: for teams with one history.

    from alembic import op
    from coordinator import migrating


    def upgrade() -> None:
        migrating.upgrade(op, to="0018_expand_serves_since")

The steps are the SQL files that `relay migrate` runs, and both note in one table how far the
database is, so that each finds the other's work done. They run in the caller's transaction, under
the caller's lock_timeout. Alembic is not imported: it comes in as `op`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection

from coordinator.errors import WrongUse

VERSION_TABLE = "outbox_alembic_version"
VERSION_TABLE_SCHEMA = "public"
# The number is only a name that nothing else uses: "outbox" read as hexadecimal ASCII.
MIGRATION_LOCK = 0x6F7574626F78

_SCHEMAS = frozenset({"outbox", "inbox"})
_PUBLIC_TABLES = frozenset(
    {
        *("incidents", "policy_evaluations", "traces", "domain_acks"),
        *("transaction_records", "transaction_claims", "transaction_acks"),
        *("transaction_intents", "transaction_settlements"),
        *("run_completions", "run_claims", VERSION_TABLE),
    }
)

_VERSIONS = f"{VERSION_TABLE_SCHEMA}.{VERSION_TABLE}"
_LOCK = f"select pg_advisory_xact_lock({MIGRATION_LOCK})"
# As Alembic makes it for `relay migrate`.
_CREATE_VERSIONS = (
    f"create table if not exists {_VERSIONS} (version_num varchar(32) not null, "
    f"constraint {VERSION_TABLE}_pkc primary key (version_num))"
)
# Who may create functions in a schema of the migrator's search_path could have one that fits better
# than PostgreSQL's own bound into a function of ours, which runs with the owner's rights. The
# caller's path is kept in a setting of ours, as a printed script has no other place for it.
_PIN_SEARCH_PATH = """do $$ begin
    perform set_config('outbox.search_path', current_setting('search_path'), true);
    perform set_config('search_path', 'pg_catalog, pg_temp', true);
end $$;
"""
_UNPIN_SEARCH_PATH = """
do $$ begin perform set_config('search_path', current_setting('outbox.search_path'), true); end $$;
"""
_ROLES_FILE = "roles.sql"
_PACKAGES = Path(__file__).resolve().parent.parent


class AlembicOperations(Protocol):
    """What is used of `alembic.op`."""

    def get_bind(self) -> Connection:
        """Return the connection that the migration runs on."""

    def get_context(self) -> Any:
        """Return the context, which knows whether SQL is to be printed."""


def upgrade(op: AlembicOperations, *, to: str | None = None, since: str | None = None) -> None:
    """Bring the schema up to a revision of ours; nothing is done where it is there already.

    Args:
        op: `alembic.op`, as a revision of the user's imports it.
        to: our revision; name it, so that this step of your history stays the same when a later
            release brings more. None is the newest of this release.
        since: the revision that the database is at, for Alembic's `--sql`, which cannot look; None
            is an empty one. Not regarded otherwise.

    Raises:
        WrongUse: this release has no such revision, or the database is at one that it lacks.
    """
    known = revisions()
    present = since if _prints(op) else _present(op.get_bind())
    first = 0 if present is None else _index(known, present) + 1
    last = len(known) if to is None else _index(known, to) + 1
    if _prints(op) and first == 0:
        _execute(op, _CREATE_VERSIONS)
    for revision in known[first:last]:
        run_file(op, f"{revision}.sql")
    if first < last:
        _note(op, known[last - 1])


def downgrade(op: AlembicOperations, *, to: str | None = None, since: str | None = None) -> None:
    """Take the schema down to a revision of ours, with all that its later tables hold.

    Unlike `relay migrate --down` it does not refuse while events are pending: let `relay run
    --until-drained` publish them first.

    Args:
        op: `alembic.op`, as a revision of the user's imports it.
        to: our revision that is to be left; None leaves nothing.
        since: the revision that the database is at, for Alembic's `--sql`, which cannot look; None
            is the newest. Not regarded otherwise.

    Raises:
        WrongUse: this release has no such revision, or the database is at one that it lacks.
    """
    known = revisions()
    present = (since or known[-1]) if _prints(op) else _present(op.get_bind())
    first = 0 if to is None else _index(known, to) + 1
    last = 0 if present is None else _index(known, present) + 1
    for revision in reversed(known[first:last]):
        run_file(op, f"{revision}_down.sql")
    if to is None:
        _execute(op, f"drop table {_VERSIONS}")
    elif first < last:
        _note(op, to)


def grant_roles(op: AlembicOperations) -> None:
    """Make the roles of least privilege that are missing, and renew the grants of all.

    Call it after `upgrade`, in each revision that brings a newer schema of ours. `relay migrate
    --roles` does the same.

    Args:
        op: `alembic.op`, as a revision of the user's imports it.

    Raises:
        sqlalchemy.exc.ProgrammingError: the roles are missing, and the migrator may not create any;
            the message says what an administrator has to run.
    """
    _execute(op, roles_script())


def include_object(
    item: Any, name: str | None, type_: str, reflected: bool, compare_to: Any
) -> bool:
    """Say for Alembic's `include_object` whether autogenerate shall look at it: not at our tables.

    Without it autogenerate finds our tables in the database, misses them in the user's models, and
    writes a revision that drops them. With `include_schemas` SQLAlchemy still reads the outbox's
    tables, and warns that it does not know the types xid8 and pg_snapshot: nothing comes of it.

    Args:
        item: the table, column, index, ... of SQLAlchemy.
        name: its name.
        type_: `table`, `column`, `index`, ...
        reflected: whether it comes from the database.
        compare_to: what it is compared to.

    Returns:
        False for what is the outbox's, true for all else.
    """
    if type_ != "table":
        return True
    in_public = item.schema in (None, VERSION_TABLE_SCHEMA)
    return not (item.schema in _SCHEMAS or (in_public and name in _PUBLIC_TABLES))


def revisions() -> list[str]:
    """Return our revisions, the oldest first: each is a file `NNNN_<what>.sql`."""
    files = (path.stem for path in (migrations_folder() / "sql").glob("[0-9]*.sql"))
    return sorted(name for name in files if not name.endswith("_down"))


def run_file(op: AlembicOperations, file_name: str) -> None:
    """Execute one file of `migrations/sql`, or print it; called by a revision of ours.

    The text goes to the server as it stands: in SQLAlchemy's `text()` every `::` and `%` would be
    looked at.
    """
    _execute(op, _script(file_name))


def roles_script() -> str:
    """Return the SQL of `grant_roles`; to be run in one transaction."""
    # The lock: of two who grant at once PostgreSQL refuses one, as both change the same rows.
    return f"{_LOCK};\n{_script(_ROLES_FILE)}"


def migrations_folder() -> Path:
    """Return the folder of the revisions: in the relay's package in a wheel, else the checkout's.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    for folder in (_PACKAGES / "relay" / "migrations", _PACKAGES / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise FileNotFoundError(f"no migrations below {_PACKAGES}: the installation is incomplete")


def _script(file_name: str) -> str:
    text = (migrations_folder() / "sql" / file_name).read_text(encoding="utf-8")
    return _PIN_SEARCH_PATH + text + _UNPIN_SEARCH_PATH


def _prints(op: AlembicOperations) -> bool:
    return bool(op.get_context().as_sql)


def _present(connection: Connection) -> str | None:
    # The lock first: of two that start together the second finds the first one's work done.
    connection.exec_driver_sql(_LOCK)
    connection.exec_driver_sql(_CREATE_VERSIONS)
    present: str | None = connection.exec_driver_sql(
        f"select version_num from {_VERSIONS}"  # noqa: S608 - constants of this file
    ).scalar()
    return present


def _note(op: AlembicOperations, revision: str) -> None:
    _execute(
        op,
        f"delete from {_VERSIONS};\n"  # noqa: S608 - the name of a file of ours
        f"insert into {_VERSIONS} (version_num) values ('{revision}')",
    )


def _execute(op: AlembicOperations, script: str) -> None:
    if _prints(op):
        op.get_context().impl.static_output(script.rstrip().removesuffix(";") + ";\n")
        return
    connection = op.get_bind()
    if connection.dialect.driver == "asyncpg":
        # It prepares what SQLAlchemy sends, and a prepared statement is one statement.
        driver: Any = connection.connection.dbapi_connection
        driver.run_async(lambda asyncpg: asyncpg.execute(script))
    else:
        connection.exec_driver_sql(script, execution_options={"no_parameters": True})


def _index(known: list[str], revision: str) -> int:
    if revision not in known:
        raise WrongUse(
            f"this release of outbox-relay has no revision {revision!r}; it has {', '.join(known)}"
        )
    return known.index(revision)
