"""Runs the revisions, online on one connection or as SQL text (`--sql`).

All revisions of one call are one transaction: a failure leaves the schema of before. An advisory
lock, taken before the present revision is read, lets two callers that start together do the work
once.
"""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import Connection

from coordinator.migrating import MIGRATION_LOCK, VERSION_TABLE_SCHEMA, version_table
from coordinator.outbox_schema import DEFAULT, checked
from relay.admin.migrate import connect

# A migration that waits for a table lock makes every writer behind it wait too: it gives up and is
# run again instead.
LOCK_TIMEOUT_MS = 3_000


def run_on(connection: Connection) -> None:
    """Bring the connected database to the revision that was asked for."""
    context.configure(connection=connection, **where())
    with context.begin_transaction():
        connection.exec_driver_sql(f"select pg_advisory_xact_lock({MIGRATION_LOCK})")
        # Only now: the wait for another migration is not a wait that harms a writer.
        connection.exec_driver_sql(f"set local lock_timeout = {LOCK_TIMEOUT_MS}")
        context.run_migrations()


def print_sql() -> None:
    """Print the revisions as one SQL script."""
    context.configure(dialect_name="postgresql", **where())
    with context.begin_transaction():
        context.execute(f"select pg_advisory_xact_lock({MIGRATION_LOCK})")
        context.execute(f"set local lock_timeout = {LOCK_TIMEOUT_MS}")
        context.run_migrations()


def where() -> dict[str, Any]:
    """Say which outbox it is: the caller's, or that of `-x schema=...`."""
    asked_for = context.get_x_argument(as_dictionary=True).get("schema", DEFAULT)
    schema = context.config.attributes.get("schema") or checked("-x schema", asked_for)
    return {
        "version_table": version_table(schema),
        "version_table_schema": VERSION_TABLE_SCHEMA,
        "outbox_schema": schema,
    }


def main() -> None:
    """Choose the way: SQL text, the caller's connection, or a connection to `-x url=...`."""
    if context.is_offline_mode():
        print_sql()
    elif (connection := context.config.attributes.get("connection")) is not None:
        run_on(connection)
    else:
        url = context.get_x_argument(as_dictionary=True)["url"]
        with connect(url) as own_connection:
            run_on(own_connection)


main()
