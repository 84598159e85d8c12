"""Is this a database to publish from.

The right schema, a primary, the same cluster as before, nothing tampered with.
"""

from __future__ import annotations

from typing import NamedTuple

from relay import sql
from relay.errors import SchemaMismatch, Unreachable, UnsafeDatabase
from relay.postgres.connect import Connection, pinned_transaction, translated_errors

__all__ = [
    "SCHEMA_VERSION",
    "Epoch",
    "check_schema",
    "enter_epoch",
    "outbox_name",
    "refuse_hazards",
    "refuse_unentered_copy",
]

SCHEMA_VERSION = "0018_expand_serves_since"
"""The revision that this relay was written for; a test holds it to the newest migration."""

_SQL = sql.load("cluster")


class Epoch(NamedTuple):
    """Where places can be compared: one outbox, in one cluster, on one timeline.

    Attributes:
        id: what goes into `ce_outboxepoch`.
        restored_upto: when this relay is the first to lead in a restored database, the position up
            to which its events came with the dump.
    """

    id: str
    restored_upto: int | None = None


def check_schema(connection: Connection) -> None:
    """Raises SchemaMismatch, with the command that mends it, unless the schema serves code that was
    made for SCHEMA_VERSION: it is of that version, or of a later one which says so.
    """
    with translated_errors():
        row = connection.execute(_SQL["cluster_schema"]).fetchone()
        if row is not None and row[0] is not None:
            raise SchemaMismatch(str(row[0]))
        found = connection.execute(_SQL["cluster_version"]).fetchone()
        version = str(found and found[0])
        if version != SCHEMA_VERSION and not (_is_later(version) and _serves_us(connection)):
            raise SchemaMismatch(
                f"the outbox schema is at {version}, this relay needs {SCHEMA_VERSION}: "
                "run `relay migrate` of this version, or start the relay of that one"
            )


def _is_later(version: str) -> bool:
    # Revisions begin with their number, in four digits.
    return version > SCHEMA_VERSION


def _serves_us(connection: Connection) -> bool:
    row = connection.execute(_SQL["cluster_serves_since"]).fetchone()
    return row is not None and not _is_later(str(row[0]))


def refuse_hazards(connection: Connection) -> None:
    """Raises UnsafeDatabase with a line for each change that would let the cursor miss or reorder
    events.
    """
    with translated_errors():
        hazards = [str(row[0]) for row in connection.execute(_SQL["cluster_hazards"])]
    if hazards:
        raise UnsafeDatabase("not safe to publish from this database:\n  " + "\n  ".join(hazards))


def enter_epoch(connection: Connection) -> Epoch:
    """The present epoch, made when an outbox is led on for the first time where it is now.

    Windows that a promoted standby or a restored dump had not got are made anew under the same
    numbers, so places must not be compared with earlier ones. The cursor stays valid wherever the
    files were copied; where the rows were, a new numbering begins (core/numbering.py).

    Raises Unreachable on a standby, which may be promoted; UnsafeDatabase when a copy has left out
    the state of the sequence.
    """
    with translated_errors(), pinned_transaction(connection):
        place = _place(connection)
        _refuse_lagging_sequence(connection)
        while True:
            row = connection.execute(_SQL["cluster_epoch_newest"], place).fetchone()
            nth, epoch, numbering, floor, reach, is_here, is_copied = row or ()
            if is_here and not is_copied:
                return Epoch(str(epoch))
            before = _Entry(_int(nth), _int(numbering), _int(floor))
            entries = [before]
            if is_copied:
                entries = _new_numberings(connection, before, _int(reach))
            added = [
                _add(connection, place, n, one) for n, one in enumerate(entries, before.nth + 1)
            ]
            if added[-1] is not None:
                return Epoch(added[-1], entries[-1].floor if is_copied else None)


def refuse_unentered_copy(connection: Connection) -> None:
    """Raises UnsafeDatabase where the log of windows speaks of another cluster's transactions, as
    no relay has led on since the database was restored; Unreachable on a standby.
    """
    with translated_errors(), pinned_transaction(connection):
        row = connection.execute(_SQL["cluster_epoch_newest"], _place(connection)).fetchone()
    if row is not None and row[-1]:
        raise UnsafeDatabase(
            "this database was restored, and no relay has led on it yet, so nothing is known of "
            "what was published: let `relay run` begin first"
        )


class _Entry(NamedTuple):
    nth: int
    numbering: int
    floor: int


def _add(connection: Connection, place: dict[str, object], nth: int, entry: _Entry) -> str | None:
    """The id of the new row; None when another relay was first."""
    bound = {**place, **entry._asdict(), "nth": nth}
    row = connection.execute(_SQL["cluster_epoch_add"], bound).fetchone()
    return None if row is None else str(row[0])


def _new_numberings(connection: Connection, before: _Entry, reach: int) -> list[_Entry]:
    """Of a copy: the one that no window has reached, and this cluster's own."""
    first = max(before.floor, reach)
    row = connection.execute(_SQL["cluster_floor"], {"reach": first}).fetchone()
    connection.execute(_SQL["cluster_milestones_forgotten"])
    return [
        _Entry(0, before.numbering + 1, first),
        _Entry(0, before.numbering + 2, max(first, _int(row and row[0]))),
    ]


def _refuse_lagging_sequence(connection: Connection) -> None:
    row = connection.execute(_SQL["cluster_sequence"]).fetchone()
    if row is not None:
        raise UnsafeDatabase(str(row[0]))


def outbox_name(connection: Connection) -> str:
    """The outbox's own uuid, the same for all its relays and after every failover.

    To be asked when an epoch was entered.
    """
    with translated_errors():
        row = connection.execute(_SQL["cluster_outbox"]).fetchone()
    return str(row and row[0])


def _place(connection: Connection) -> dict[str, object]:
    row = connection.execute(_SQL["cluster_identity"]).fetchone()
    if row is None:
        raise Unreachable("database: it did not say which cluster it is")
    standby, system, timeline = row
    if standby:
        raise Unreachable("database: it is a standby; events are published from the primary")
    return {"system": system, "timeline": timeline}


def _int(value: object) -> int:
    return 0 if value is None else int(str(value))
