"""A `published_at` table, the usual home-made outbox: which of its columns is what, and its SQL.

Names of tables and columns come from the command line and go into the statements as identifiers;
every other value is bound. What the table is made of is asked of the database first, so that a
wrong name is told before a row is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid5

import psycopg
from psycopg import sql as pg

from coordinator.event import OutboxEvent
from relay import sql
from relay.errors import BadConfiguration
from relay.postgres.connect import Connection

__all__ = ["BadRow", "Columns", "PublishedAtTable", "Statement"]

Statement = pg.Composed
Row = tuple[Any, ...]

_SQL: Final = sql.load("adopt")
_NAMESPACE: Final = UUID("6f757462-6f78-5e1a-9c5d-61646f707400")
_CONTENT_TYPES: Final = {
    "json": "application/json",
    "jsonb": "application/json",
    "bytea": "application/octet-stream",
    "text": "text/plain",
    "character varying": "text/plain",
}
_TIMES: Final = ("timestamp with time zone", "timestamp without time zone")
_INTEGERS: Final = ("smallint", "integer", "bigint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which column is what.

    Attributes:
        topic_column, type_column: not looked at where `topic` or `type` says the same for each row.
        key_column, headers_column: None where the events have none.
        order_by: columns, the first counts most; none is the id, if it is an integer.
        content_type: of every payload; None is that of the payload column's type.
        tombstones: whether a payload that is null deletes what its key held; else it is refused.
    """

    id_column: str = "id"
    topic_column: str = "topic"
    topic: str | None = None
    key_column: str | None = "key"
    type_column: str = "type"
    type: str | None = None
    payload_column: str = "payload"
    headers_column: str | None = None
    published_at_column: str = "published_at"
    order_by: tuple[str, ...] = ()
    content_type: str | None = None
    tombstones: bool = False


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that the outbox refuses. `problem`: the field, what is wrong, the limit; no value."""

    row_id: str
    problem: str

    def __str__(self) -> str:
        return f"row {self.row_id}: {self.problem}"


class PublishedAtTable:
    """One such table: its statements, and what its rows are as events.

    Attributes:
        name: with its schema.
    """

    def __init__(self, connection: Connection, name: str, columns: Columns) -> None:
        """Look the table up.

        Raises:
            BadConfiguration: there is no such table, or a column is missing or of a type that does
                not fit; names each.
        """
        schema, table, oid = _found(connection, name)
        self.name = f"{schema}.{table}"
        self._columns = columns
        rows = connection.execute(_SQL["adopt_columns"], {"table": oid})
        types = {str(column): str(type_) for column, type_ in rows}
        if faults := _faults(columns, types):
            raise BadConfiguration(
                f"table {self.name} cannot be taken over:\n" + "\n".join(f"  {f}" for f in faults)
            )
        payload_type = types[columns.payload_column]
        self._content_type = columns.content_type or _CONTENT_TYPES[payload_type]
        self._parts = self._parts_of(_name(schema, table), payload_type == "bytea")

    def statement(self, name: str) -> Statement:
        """The statement of `relay/sql/adopt.sql`, on this table."""
        return pg.SQL(_SQL[name]).format(**self._parts)

    def parameters(self, **values: object) -> Mapping[str, object]:
        """What such a statement is bound with, besides `values`."""
        return {"topic": self._columns.topic, "type": self._columns.type, **values}

    def events(self, rows: Sequence[Row]) -> tuple[list[OutboxEvent], list[BadRow]]:
        """The events of the rows, in order, and the rows that cannot be one."""
        events, bad = [], []
        for row in rows:
            # What an event refuses it says in a ValueError, without the value.
            try:
                events.append(self._event(row))
            except ValueError as refusal:
                bad.append(BadRow(str(row[0]), str(refusal)))
        return events, bad

    def _event(self, row: Row) -> OutboxEvent:
        row_id, topic, key, type_, payload, headers = row
        if payload is None and not self._columns.tombstones:
            raise ValueError(
                "payload: is null, which in Kafka deletes what the key held; --tombstones means it"
            )
        return OutboxEvent(
            id=row_id if isinstance(row_id, UUID) else uuid5(_NAMESPACE, f"{self.name}/{row_id}"),
            topic=topic,
            key=key,
            type=type_,
            payload=payload,
            content_type=self._content_type,
            headers={} if headers is None else headers,
            is_tombstone=payload is None,
        )

    def _parts_of(self, table: pg.Identifier, is_binary: bool) -> dict[str, pg.Composable]:
        columns = self._columns
        order = [*columns.order_by, columns.id_column]
        payload = _name(columns.payload_column)
        return {
            "table": table,
            "id": _name(columns.id_column),
            "topic": _text(columns.topic_column, "topic", columns.topic),
            "key": _text(columns.key_column, "key", None),
            "type": _text(columns.type_column, "type", columns.type),
            "payload": payload
            if is_binary
            else pg.SQL("convert_to({}::text, 'UTF8')").format(payload),
            "headers": _or_null(columns.headers_column),
            "published_at": _name(columns.published_at_column),
            "order": pg.SQL(", ").join(_name(column) for column in order),
        }


def _found(connection: Connection, name: str) -> Row:
    try:
        row = connection.execute(_SQL["adopt_table"], {"name": name}).fetchone()
    except (psycopg.errors.InvalidName, psycopg.errors.SyntaxError) as problem:
        raise BadConfiguration(f"TABLE: {problem.diag.message_primary}") from None
    if row is None:
        raise BadConfiguration(f"TABLE: there is no table {name}; is its schema missing?")
    return row


def _faults(columns: Columns, types: Mapping[str, str]) -> list[str]:
    """What is wrong, a line for each column."""
    wanted = {
        "--id-column": columns.id_column,
        "--topic-column, or --topic": None if columns.topic is not None else columns.topic_column,
        "--key-column, or --no-key": columns.key_column,
        "--type-column, or --type": None if columns.type is not None else columns.type_column,
        "--payload-column": columns.payload_column,
        "--headers-column": columns.headers_column,
        "--published-at-column": columns.published_at_column,
        **{f"--order-by {column}": column for column in columns.order_by},
    }
    missing = {name: option for option, name in wanted.items() if name and name not in types}
    if missing:
        return [
            f"there is no column {name}: {option} says which" for name, option in missing.items()
        ]
    return list(_unfit(columns, types))


def _unfit(columns: Columns, types: Mapping[str, str]) -> list[str]:
    headers = columns.headers_column
    must_be = [
        (columns.payload_column, tuple(_CONTENT_TYPES)),
        (columns.published_at_column, _TIMES),
        *([(headers, ("json", "jsonb"))] if headers else []),
    ]
    faults = [
        f"column {name} is {types[name]}; it must be {' or '.join(allowed)}"
        for name, allowed in must_be
        if types[name] not in allowed
    ]
    if not columns.order_by and types[columns.id_column] not in _INTEGERS:
        faults.append(
            f"column {columns.id_column} is {types[columns.id_column]}, which is no order: "
            "--order-by names a column that is, such as created_at"
        )
    return faults


def _text(column: str | None, parameter: str, constant: str | None) -> pg.Composable:
    if constant is not None:
        return pg.SQL("{}::text").format(pg.Placeholder(parameter))
    return _or_null(column) + pg.SQL("::text")


def _or_null(column: str | None) -> pg.Composable:
    return pg.SQL("null") if column is None else _name(column)


def _name(*parts: str) -> pg.Identifier:
    # The driver reads a bare % of the whole statement as the start of a parameter.
    return pg.Identifier(*(part.replace("%", "%%") for part in parts))
