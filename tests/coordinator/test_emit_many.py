"""outbox.emit_many: many events in one statement, for any client in any language."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import Engine


@pytest.fixture
def connection(untouched_engine: Engine) -> Iterator[psycopg.Connection[Any]]:
    """A connection whose transaction is rolled back: the next test finds the database empty."""
    url = untouched_engine.url.set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False)) as opened:
        yield opened
        opened.rollback()


def emit_many(connection: psycopg.Connection[Any], arguments: str) -> list[UUID]:
    query = f"select outbox.emit_many({arguments})"
    return [emitted for (emitted,) in connection.execute(query.encode())]


def stored(connection: psycopg.Connection[Any], columns: str) -> list[tuple[Any, ...]]:
    query = f"select {columns} from outbox.event order by position"
    return connection.execute(query.encode()).fetchall()


def test_each_element_becomes_an_event(connection: psycopg.Connection[Any]) -> None:
    emit_many(
        connection,
        "topics => array['a', 'b'], keys => array['k', null], types => array['t', 'u'],"
        " payloads => array['\\x00ff'::bytea, null],"
        """ headers => array['{"n": "1"}'::jsonb, null]""",
    )
    assert stored(connection, "topic, key, type, payload, headers, content_type") == [
        ("a", "k", "t", b"\x00\xff", {"n": "1"}, "application/json"),
        ("b", None, "u", None, {}, "application/json"),
    ]


def test_positions_and_idempotency_keys_are_in_the_order_of_the_arrays(
    connection: psycopg.Connection[Any],
) -> None:
    emitted = emit_many(
        connection,
        "array_fill('a'::text, array[500]), array_fill('k'::text, array[500]),"
        " (select array_agg('t' || n order by n) from generate_series(1, 500) n),"
        " array_fill(''::bytea, array[500])",
    )
    rows = stored(connection, "id, type")
    assert rows == [(event_id, f"t{n}") for n, event_id in enumerate(emitted, 1)]


def test_headers_may_be_left_out(connection: psycopg.Connection[Any]) -> None:
    emit_many(connection, "array['a'], array['k'], array['t'], array[''::bytea]")
    assert stored(connection, "headers") == [({},)]


def test_no_events_are_no_rows(connection: psycopg.Connection[Any]) -> None:
    assert emit_many(connection, "'{}', '{}', '{}', '{}', '{}'") == []
    assert stored(connection, "id") == []


@pytest.mark.parametrize(
    "arguments",
    [
        "array['a'], array['k', 'l'], array['t'], array[''::bytea]",
        "array['a', 'a'], array['k'], array['t', 't'], array[''::bytea, '']",
        "array['a', 'a'], array['k', 'k'], array['t'], array[''::bytea, '']",
        "array['a', 'a'], array['k', 'k'], array['t', 't'], array[''::bytea]",
        "array['a'], array['k'], array['t'], array[''::bytea], '{}'",
        "null, null, null, null",
        "array['a'], null, array['t'], array[''::bytea]",
        "array['a'], array['k'], array['t'], null",
    ],
)
def test_arrays_of_unequal_length_are_refused(
    connection: psycopg.Connection[Any], arguments: str
) -> None:
    with pytest.raises(psycopg.errors.ArraySubscriptError, match="arrays of one length"):
        emit_many(connection, arguments)


def test_one_event_that_breaks_a_rule_refuses_them_all_by_its_sentence(
    connection: psycopg.Connection[Any],
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="topic: 1 to 249"):
        emit_many(connection, "array['a', 'a b'], '{k,k}', '{t,t}', array[''::bytea, '']")


def test_emit_many_is_not_led_astray_by_a_callers_search_path(
    connection: psycopg.Connection[Any],
) -> None:
    connection.execute("create schema decoy")
    connection.execute(
        "create function decoy.cardinality(text[]) returns int language sql as 'select 7'"
    )
    connection.execute("set local search_path = decoy, pg_catalog")
    emit_many(connection, "array['a'], array['k'], array['t'], array[''::bytea]")
    assert len(stored(connection, "id")) == 1


def test_a_role_with_the_function_alone_can_emit_and_one_without_it_cannot(
    connection: psycopg.Connection[Any],
) -> None:
    # Rolled back with the rest: a role is the whole server's.
    connection.execute("create role emits; grant usage on schema outbox to emits")
    connection.execute(
        "grant execute on function outbox.emit_many(text[], text[], text[], bytea[], jsonb[])"
        " to emits; set local role emits"
    )
    event = "array['a'], array['k'], array['t'], array[''::bytea]"
    assert len(emit_many(connection, event)) == 1
    connection.execute("reset role; create role idles; grant usage on schema outbox to idles")
    connection.execute("set local role idles")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="emit_many"):
        emit_many(connection, event)


def test_emit_many_is_part_of_the_callers_transaction(connection: psycopg.Connection[Any]) -> None:
    emit_many(connection, "array['a'], array['k'], array['t'], array[''::bytea]")
    connection.rollback()
    assert stored(connection, "id") == []
