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

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection

from coordinator.errors import WrongUse
from coordinator.outbox_schema import DEFAULT, checked, in_schema, of_each_outbox

VERSION_TABLE_SCHEMA = "public"
# The number is only a name that nothing else uses: "outbox" read as hexadecimal ASCII.
MIGRATION_LOCK = 0x6F7574626F78

_VERSION_TABLE = "outbox_alembic_version"
_PUBLIC_TABLES = frozenset(
    {
        *("incidents", "policy_evaluations", "traces", "domain_acks"),
        *("transaction_records", "transaction_claims", "transaction_acks"),
        *("transaction_intents", "transaction_settlements"),
        *("run_completions", "run_claims"),
    }
)

_VERSIONS = f"{VERSION_TABLE_SCHEMA}.{_VERSION_TABLE}"
_LOCK = f"select pg_advisory_xact_lock({MIGRATION_LOCK})"
# As Alembic makes it for `relay migrate`.
_CREATE_VERSIONS = (
    f"create table if not exists {_VERSIONS} (version_num varchar(32) not null, "
    f"constraint {_VERSION_TABLE}_pkc primary key (version_num))"
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


def version_table(schema: str) -> str:
    """Return the table that notes how far the outbox in `schema` is; in VERSION_TABLE_SCHEMA."""
    return in_schema(_VERSION_TABLE, schema)


def upgrade(
    op: AlembicOperations,
    *,
    to: str | None = None,
    since: str | None = None,
    schema: str = DEFAULT,
) -> None:
    """Bring the schema up to a revision of ours; nothing is done where it is there already.

    Args:
        op: `alembic.op`, as a revision of the user's imports it.
        to: our revision; name it, so that this step of your history stays the same when a later
            release brings more. None is the newest of this release.
        since: the revision that the database is at, for Alembic's `--sql`, which cannot look; None
            is an empty one. Not regarded otherwise.
        schema: of the outbox. One of another name than `outbox` is an outbox and no more: inbox
            and records of transactions are the database's, and come with `outbox`.

    Raises:
        BadInput: no outbox may lie in a schema of that name.
        WrongUse: this release has no such revision, or the database is at one that it lacks.
    """
    checked("schema", schema)
    known = revisions()
    present = since if _prints(op) else _present(op.get_bind(), schema)
    first = 0 if present is None else _index(known, present) + 1
    last = len(known) if to is None else _index(known, to) + 1
    if _prints(op) and first == 0:
        _execute(op, in_schema(_CREATE_VERSIONS, schema))
    for revision in known[first:last]:
        run_file(op, f"{revision}.sql", schema)
    if first < last:
        _note(op, known[last - 1], schema)


def downgrade(
    op: AlembicOperations,
    *,
    to: str | None = None,
    since: str | None = None,
    schema: str = DEFAULT,
) -> None:
    """Take the schema down to a revision of ours, with all that its later tables hold.

    Unlike `relay migrate --down` it does not refuse while events are pending: let `relay run
    --until-drained` publish them first.

    Args:
        op: `alembic.op`, as a revision of the user's imports it.
        to: our revision that is to be left; None leaves nothing.
        since: the revision that the database is at, for Alembic's `--sql`, which cannot look; None
            is the newest. Not regarded otherwise.
        schema: of the outbox.

    Raises:
        BadInput: no outbox may lie in a schema of that name.
        WrongUse: this release has no such revision, or the database is at one that it lacks.
    """
    checked("schema", schema)
    known = revisions()
    present = (since or known[-1]) if _prints(op) else _present(op.get_bind(), schema)
    first = 0 if to is None else _index(known, to) + 1
    last = 0 if present is None else _index(known, present) + 1
    for revision in reversed(known[first:last]):
        run_file(op, f"{revision}_down.sql", schema)
    if to is None:
        _execute(op, in_schema(f"drop table {_VERSIONS}", schema))
    elif first < last:
        _note(op, to, schema)


def grant_roles(op: AlembicOperations, *, schema: str = DEFAULT) -> None:
    """Make the roles of least privilege that are missing, and renew the grants of all.

    Call it after `upgrade`, in each revision that brings a newer schema of ours. `relay migrate
    --roles` does the same.

    Args:
        op: `alembic.op`, as a revision of the user's imports it.
        schema: of the outbox.

    Raises:
        BadInput: no outbox may lie in a schema of that name.
        sqlalchemy.exc.ProgrammingError: the roles are missing, and the migrator may not create any;
            the message says what an administrator has to run.
    """
    _execute(op, roles_script(checked("schema", schema)))


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
    return _is_the_users(item.schema, name, {DEFAULT})


def include_object_beside(*schemas: str) -> Callable[[Any, str | None, str, bool, Any], bool]:
    """Return what `include_object` is where there are outboxes in other schemas, or several.

    Raises:
        BadInput: no outbox may lie in a schema of that name.
    """
    ours = {DEFAULT, *(checked("schemas", schema) for schema in schemas)}

    def included(
        item: Any, name: str | None, type_: str, _reflected: bool, _compare_to: Any
    ) -> bool:
        return type_ != "table" or _is_the_users(item.schema, name, ours)

    return included


def _is_the_users(table_schema: str | None, name: str | None, ours: set[str]) -> bool:
    if table_schema in (None, VERSION_TABLE_SCHEMA):
        return name not in _PUBLIC_TABLES and name not in {version_table(schema) for schema in ours}
    return table_schema != "inbox" and table_schema not in ours


def revisions() -> list[str]:
    """Return our revisions, the oldest first: each is a file `NNNN_<what>.sql`."""
    files = (path.stem for path in (migrations_folder() / "sql").glob("[0-9]*.sql"))
    return sorted(name for name in files if not name.endswith("_down"))


def run_file(op: AlembicOperations, file_name: str, schema: str = DEFAULT) -> None:
    """Execute one file of `migrations/sql`, or print it; called by a revision of ours.

    The text goes to the server as it stands: in SQLAlchemy's `text()` every `::` and `%` would be
    looked at.
    """
    _execute(op, _script(file_name, schema))


def roles_script(schema: str = DEFAULT) -> str:
    """Return the SQL of `grant_roles`; to be run in one transaction."""
    # The lock: of two who grant at once PostgreSQL refuses one, as both change the same rows.
    return f"{_LOCK};\n{_script(_ROLES_FILE, schema)}"


def migrations_folder() -> Path:
    """Return the folder of the revisions: in the relay's package in a wheel, else the checkout's.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    for folder in (_PACKAGES / "relay" / "migrations", _PACKAGES / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise FileNotFoundError(f"no migrations below {_PACKAGES}: the installation is incomplete")


def _script(file_name: str, schema: str) -> str:
    text = (migrations_folder() / "sql" / file_name).read_text(encoding="utf-8")
    if schema != DEFAULT:
        text = in_schema(of_each_outbox(text), schema)
    return _PIN_SEARCH_PATH + text + _UNPIN_SEARCH_PATH


def _prints(op: AlembicOperations) -> bool:
    return bool(op.get_context().as_sql)


def _present(connection: Connection, schema: str) -> str | None:
    # The lock first: of two that start together the second finds the first one's work done.
    connection.exec_driver_sql(_LOCK)
    connection.exec_driver_sql(in_schema(_CREATE_VERSIONS, schema))
    present: str | None = connection.exec_driver_sql(
        in_schema(f"select version_num from {_VERSIONS}", schema)  # noqa: S608 - our own constants
    ).scalar()
    return present


def _note(op: AlembicOperations, revision: str, schema: str) -> None:
    script = (
        f"delete from {_VERSIONS};\n"  # noqa: S608 - the name of a file of ours
        f"insert into {_VERSIONS} (version_num) values ('{revision}')"
    )
    _execute(op, in_schema(script, schema))


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
