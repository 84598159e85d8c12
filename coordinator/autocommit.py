"""A connection in autocommit has no transaction to live or die with."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection
from sqlalchemy.orm import Session

from coordinator.errors import NoTransaction

__all__ = ["connection_in_transaction", "refuse_autocommit", "refuse_psycopg_autocommit"]


def connection_in_transaction(target: Session | Connection) -> Connection:
    """Return the connection of `target`, begun if a session begins by itself.

    Raises:
        NoTransaction: it commits each statement by itself, or the session has to be begun.
    """
    if isinstance(target, Session):
        if not (target.autobegin or target.in_transaction()):
            raise NoTransaction("the session has not begun: write events inside `session.begin()`")
        target = target.connection()
    refuse_autocommit(target)
    return target


def refuse_autocommit(connection: Connection) -> None:
    """Refuse a connection that commits each statement by itself.

    Raises:
        NoTransaction: the connection is in autocommit.
    """
    # Only True: sqlite3, which tests with an in-memory outbox may be on, says -1 for "as ever".
    if getattr(connection.connection.dbapi_connection, "autocommit", False) is True:
        raise _in_autocommit()


def refuse_psycopg_autocommit(
    connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any],
) -> None:
    """Refuse a connection of psycopg that commits each statement by itself.

    Raises:
        NoTransaction: the connection is in autocommit, and in no transaction.
    """
    # In autocommit `with connection.transaction()` makes a transaction like any other. ACTIVE is a
    # pipeline that has begun none.
    outside = (TransactionStatus.IDLE, TransactionStatus.ACTIVE)
    if connection.autocommit and connection.info.transaction_status in outside:
        raise _in_autocommit()


def _in_autocommit() -> NoTransaction:
    return NoTransaction(
        "the connection is in autocommit, so this would be committed without what belongs to it; "
        "use a session or connection that holds a transaction"
    )
