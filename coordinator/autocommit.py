"""A connection in autocommit has no transaction to live or die with."""

from __future__ import annotations

from sqlalchemy import Connection

from coordinator.errors import NoTransaction

__all__ = ["in_autocommit", "refuse_autocommit"]


def refuse_autocommit(connection: Connection) -> None:
    """Refuse a connection that commits each statement by itself.

    Raises:
        NoTransaction: the connection is in autocommit.
    """
    if getattr(connection.connection.dbapi_connection, "autocommit", False):
        raise in_autocommit()


def in_autocommit() -> NoTransaction:
    """Return the error that says so."""
    return NoTransaction(
        "the connection is in autocommit, so this would be committed without what belongs to it; "
        "use a session or connection that holds a transaction"
    )
