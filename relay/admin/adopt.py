"""Takes the unpublished rows of a `published_at` table over into the outbox, in order, each once.

Naive: read the rows, write the events, then mark the rows. A crash in between does all of it again,
or loses it. Here a batch is one transaction: its rows are locked, become events, and are marked.
Whatever ends the command, a row is either unpublished or an event, so it is simply run again. Its
writers may go on meanwhile; the relay that published it until now may not, since it would send
later events of a key before those that wait here.

A batch with a row that the outbox refuses is not taken over, nor is any after it: a later event of
its key would overtake it. Which rows that are is said all at once by `look`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from coordinator.event import OutboxEvent
from coordinator.failpoints import hit
from relay.address import Place
from relay.admin.published_at_table import BadRow, Columns, PublishedAtTable
from relay.errors import BadRows
from relay.postgres.cluster import check_schema
from relay.postgres.connect import Connection, connect, translated_errors

__all__ = ["BATCH_DEFAULT", "Adopted", "adopt", "look"]

BATCH_DEFAULT = 1_000
"""At a kilobyte each a megabyte in memory, and a transaction of some 100 ms."""
TOLD_MAX = 20


@dataclass(frozen=True, slots=True)
class Adopted:
    """What was taken over, or would be.

    Attributes:
        table: with its schema.
        topics: how many events each gets.
        bad: rows that the outbox refuses; only `look` has any.
    """

    table: str
    topics: Mapping[str, int]
    bad: tuple[BadRow, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows became events, or would."""
        return sum(self.topics.values())

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        bad = [{"row": one.row_id, "problem": one.problem} for one in self.bad]
        return {"table": self.table, "rows": self.rows, "topics": dict(self.topics), "bad": bad}


def adopt(
    place: Place, table: str, columns: Columns, batch: int, on_batch: Callable[[int], None]
) -> Adopted:
    """Take over every row that is unpublished.

    Args:
        place: connection string of a role that may read and update the table and write events.
        table: its name, as in SQL.
        columns: which of its columns is what.
        batch: rows in a transaction, at least 1.
        on_batch: told after each commit how many rows are taken over by now.

    Raises:
        BadRows: the outbox refuses rows of the next batch; those before it are taken over.
        BadConfiguration: the table or a column is not there, or does not fit.
        SchemaMismatch: the outbox is missing, or of another version.
        Unreachable: the database is away; batches that were committed stand.
    """
    topics: Counter[str] = Counter()
    with translated_errors(place), closing(connect(place, "adopt")) as connection:
        check_schema(connection)
        known = PublishedAtTable(connection, table, columns)
        while taken := _take_batch(connection, known, batch):
            topics.update(taken)
            on_batch(topics.total())
    return Adopted(known.name, topics)


def look(place: Place, table: str, columns: Columns, batch: int) -> Adopted:
    """Say what `adopt` would do, and every row that the outbox refuses; changes nothing.

    Args and Raises as for `adopt`, but for BadRows.
    """
    topics: Counter[str] = Counter()
    bad: list[BadRow] = []
    with translated_errors(place), closing(connect(place, "adopt")) as connection:
        check_schema(connection)
        known = PublishedAtTable(connection, table, columns)
        with connection.transaction(), connection.cursor(name="adopt") as cursor:
            cursor.execute(known.statement("adopt_look"), known.parameters())
            while rows := cursor.fetchmany(batch):
                events, refused = known.events(rows)
                topics.update(event.topic for event in events)
                bad += refused
    return Adopted(known.name, topics, tuple(bad))


def _take_batch(connection: Connection, table: PublishedAtTable, batch: int) -> Counter[str]:
    """How many events of which topic the next rows became."""
    with connection.transaction():
        taking = table.statement("adopt_take"), table.parameters(limit=batch)
        rows = connection.execute(*taking).fetchall()
        events, bad = table.events(rows)
        if bad:
            raise BadRows(_told(table, bad))
        if events:
            connection.execute(table.statement("adopt_insert"), _arrays(events))
            hit("adopt.inserted")
            _mark(connection, table, [row[0] for row in rows])
            hit("adopt.marked")
    hit("adopt.committed")
    return Counter(event.topic for event in events)


def _mark(connection: Connection, table: PublishedAtTable, ids: list[object]) -> None:
    marking = table.statement("adopt_mark"), table.parameters(ids=ids)
    marked = connection.execute(*marking).rowcount
    # Two events of one id would be one to whoever consumes them.
    if not marked == len(ids) == len(set(ids)):
        raise BadRows(
            f"table {table.name}: {marked} rows were marked for {len(ids)} events: the id is not "
            "unique, or a trigger is in the way; nothing of this batch was taken over"
        )


def _arrays(events: list[OutboxEvent]) -> dict[str, list[Any]]:
    return {
        "ids": [event.id for event in events],
        "topics": [event.topic for event in events],
        "keys": [event.key for event in events],
        "types": [event.type for event in events],
        "content_types": [event.content_type for event in events],
        "payloads": [event.payload for event in events],
        "headers": [json.dumps(event.headers, ensure_ascii=False) for event in events],
    }


def _told(table: PublishedAtTable, bad: list[BadRow]) -> str:
    head = (
        f"table {table.name}: the outbox refuses rows, so nothing of this batch was taken over "
        "(--dry-run lists all such rows):"
    )
    lines = [f"  {one}" for one in bad[:TOLD_MAX]]
    if len(bad) > TOLD_MAX:
        lines.append(f"  and {len(bad) - TOLD_MAX} more in this batch")
    return "\n".join([head, *lines])
