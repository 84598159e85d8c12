"""outbox.emit: the same outbox for any client in any language."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import namedtuple_row
from sqlalchemy import Engine


@pytest.fixture
def connection(untouched_engine: Engine) -> Iterator[psycopg.Connection[Any]]:
    """A connection whose transaction is rolled back: the next test finds the database empty."""
    url = untouched_engine.url.set(drivername="postgresql")
    with psycopg.connect(
        url.render_as_string(hide_password=False), row_factory=namedtuple_row
    ) as opened:
        yield opened
        opened.rollback()


def only_row(connection: psycopg.Connection[Any], statement: LiteralString) -> Any:
    (row,) = connection.execute(statement).fetchall()
    return row


def test_emit_returns_the_idempotency_key_of_the_row(connection: psycopg.Connection[Any]) -> None:
    emitted = only_row(connection, "select outbox.emit('a', 'k', 't', '\\x00ff')")
    row = only_row(connection, "select * from outbox.event")
    assert isinstance(emitted[0], UUID)
    assert (row.id, row.topic, row.key, row.type, row.payload, row.headers, row.content_type) == (
        emitted[0],
        "a",
        "k",
        "t",
        b"\x00\xff",
        {},
        "application/json",
    )


def test_emit_takes_headers_by_name(connection: psycopg.Connection[Any]) -> None:
    connection.execute(
        "select outbox.emit(topic => 'a', key => null, type => 't', payload => null,"
        ' headers => \'{"traceparent": "00-ab"}\')'
    )
    row = only_row(connection, "select * from outbox.event")
    assert (row.key, row.payload, row.headers) == (None, None, {"traceparent": "00-ab"})


def test_emit_is_part_of_the_callers_transaction(connection: psycopg.Connection[Any]) -> None:
    connection.execute("select outbox.emit('a', 'k', 't', '')")
    connection.rollback()
    assert only_row(connection, "select count(*) from outbox.event") == (0,)


def test_emit_writes_under_the_callers_transaction_id(connection: psycopg.Connection[Any]) -> None:
    connection.execute("select 1")
    with connection.transaction():  # a savepoint: a transaction is under way
        connection.execute("select outbox.emit('a', 'k', 't', '')")
    same = only_row(connection, "select txid = pg_current_xact_id() from outbox.event")
    assert same == (True,)


def test_emit_is_not_led_astray_by_a_callers_search_path(
    connection: psycopg.Connection[Any],
) -> None:
    connection.execute("create schema decoy")
    connection.execute("create table decoy.event (like outbox.event)")
    connection.execute("set local search_path = decoy")
    connection.execute("select outbox.emit('a', 'k', 't', '')")
    assert only_row(connection, "select count(*) from decoy.event") == (0,)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ("'a b', 'k', 't', ''", "topic: 1 to 249 of"),
        ("'a', 'k', '', ''", "type: 1 to 255 printable characters"),
        ("'a', repeat('k', 8193), 't', ''", "key: 8193 bytes, at most 8192"),
        ("'a', 'k', 't', repeat('x', 1000001)::bytea", "payload: 1000001 bytes, at most 1000000"),
        ("'a', 'k', 't', '', '[]'", "headers: a JSON object"),
        ("'a', 'k', 't', '', '{\"ce_id\": \"x\"}'", "headers: names ce_*"),
        ("'a', 'k', 't', '', '{\"a\": 1}'", "headers: every value must be text"),
    ],
)
def test_emit_refuses_bad_input_by_a_sentence_that_says_the_rule(
    connection: psycopg.Connection[Any], arguments: str, rule: str
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        connection.execute(f"select outbox.emit({arguments})")
    sentence = refused.value.diag.message_primary or ""
    assert sentence.startswith(f"outbox event refused: {rule}")


def test_a_writer_cannot_choose_a_position(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.GeneratedAlways):
        connection.execute("insert into outbox.event (position, topic, type) values (1, 'a', 't')")
