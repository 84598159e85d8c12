"""The roles of least privilege, made or renewed; `migrations/sql/roles.sql` says what each may.

Not a revision: roles belong to the cluster and outlive the schema, who migrates may not be allowed
to make them, and what they may is to be said again after each revision that brings a table.
"""

from __future__ import annotations

from coordinator.migrating import roles_script
from relay.address import Place, address_of
from relay.admin.migrate import connect

__all__ = ["grant_roles", "roles_sql"]


def grant_roles(place: Place) -> None:
    """Make the roles that are missing, and have each hold its grants and no others.

    Args:
        place: libpq connection string or URL of the owner of the schema, which is at the newest
            revision. Who may not create roles is served where they are there.

    Raises:
        UnsafeDatabase: the roles are missing and may not be created, or the schema is another's.
        SchemaMismatch: the schema is missing or older.
        Unreachable: no connection.
    """
    with connect(place) as connection, connection.begin():
        script = roles_script(address_of(place).schema)
        connection.exec_driver_sql(script, execution_options={"no_parameters": True})


def roles_sql(schema: str) -> str:
    """Return the SQL that `grant_roles` runs, for tools that take a script."""
    return f"BEGIN;\n\n{roles_script(schema)}\nCOMMIT;\n"
