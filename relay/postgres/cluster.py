"""Is this a database to publish from.

The right schema, a primary, the same cluster as before, nothing tampered with.
"""

from __future__ import annotations

from relay import sql
from relay.errors import SchemaMismatch, Unreachable, UnsafeDatabase
from relay.postgres.connect import Connection, pinned_transaction, translated_errors

__all__ = ["SCHEMA_VERSION", "check_schema", "enter_epoch", "outbox_name", "refuse_hazards"]

SCHEMA_VERSION = "0016_expand_fleet"
"""The revision that this relay was written for; a test holds it to the newest migration."""

_SQL = sql.load("cluster")


def check_schema(connection: Connection) -> None:
    """Raises SchemaMismatch, with the command that mends it, unless the schema is of
    SCHEMA_VERSION.
    """
    with translated_errors():
        row = connection.execute(_SQL["cluster_schema"]).fetchone()
        if row is None or row[0] is None:
            raise SchemaMismatch(
                "the outbox schema is missing in this database: run `relay migrate`"
            )
        found = connection.execute(_SQL["cluster_version"]).fetchone()
    version = found and found[0]
    if version != SCHEMA_VERSION:
        raise SchemaMismatch(
            f"the outbox schema is at {version}, this relay needs {SCHEMA_VERSION}: "
            "run `relay migrate` of this version, or start the relay of that one"
        )


def refuse_hazards(connection: Connection) -> None:
    """Raises UnsafeDatabase with a line for each change that would let the cursor miss or reorder
    events.
    """
    with translated_errors():
        hazards = [str(row[0]) for row in connection.execute(_SQL["cluster_hazards"])]
    if hazards:
        raise UnsafeDatabase("not safe to publish from this database:\n  " + "\n  ".join(hazards))


def enter_epoch(connection: Connection) -> str:
    """The id of the present cluster and timeline, made when they are led on for the first time.

    After a promotion the timeline is new and numbers of windows are used again, so places must not
    be compared with earlier ones; the cursor itself stays valid, as it was replicated with the
    events. In a database that was restored from a dump it is not: its transaction ids are another
    cluster's. Publishing then needs a decision that this version cannot make, so it raises
    UnsafeDatabase. A standby raises Unreachable: it may be promoted.
    """
    with translated_errors(), pinned_transaction(connection):
        standby, system, timeline = _identity(connection)
        if standby:
            raise Unreachable("database: it is a standby; events are published from the primary")
        connection.execute(_SQL["cluster_epoch_add"], {"system": system, "timeline": timeline})
        epochs = connection.execute(_SQL["cluster_epochs"]).fetchall()
    if foreign := sorted({str(row[1]) for row in epochs if row[1] != system}):
        raise UnsafeDatabase(
            f"this is cluster {system}, and the cursor in it is of cluster {', '.join(foreign)} "
            "(a restored dump, or pg_upgrade): its transaction ids mean nothing here. "
            "Nothing was published and nothing is lost"
        )
    return next(str(row[0]) for row in epochs if row[2] == timeline)


def outbox_name(connection: Connection) -> str:
    """The outbox's own uuid, the same for all its relays and after every failover.

    To be asked when an epoch was entered.
    """
    with translated_errors():
        row = connection.execute(_SQL["cluster_outbox"]).fetchone()
    return str(row and row[0])


def _identity(connection: Connection) -> tuple[bool, object, object]:
    row = connection.execute(_SQL["cluster_identity"]).fetchone()
    if row is None:
        raise Unreachable("database: it did not say which cluster it is")
    standby, system, timeline = row
    return bool(standby), system, timeline
