"""What stands in a database, to compare two ways to the same schema."""

from __future__ import annotations

import psycopg

from coordinator.migrating import version_table
from coordinator.outbox_schema import DEFAULT


def schema_of(url: str) -> dict[str, set[str]]:
    """Everything that stands in the database, by kind; the version table left out."""
    ours = "nspname not in ('pg_catalog', 'information_schema', 'pg_toast')"
    queries = {
        "schemas": f"select nspname from pg_namespace where {ours} and nspname !~ '^pg_'",
        "relations": "select c.oid::regclass::text from pg_class c join pg_namespace n"
        f" on n.oid = relnamespace where {ours}",
        "functions": "select p.oid::regprocedure::text from pg_proc p join pg_namespace n"
        f" on n.oid = pronamespace where {ours}",
        "constraints": "select conrelid::regclass::text || conname from pg_constraint k"
        f" join pg_namespace n on n.oid = connamespace where {ours}",
    }
    with psycopg.connect(url) as connection:
        return {
            kind: {
                name
                for (name,) in connection.execute(query.encode())
                if not name.startswith(version_table(DEFAULT))
            }
            for kind, query in queries.items()
        }
