"""P9, F29-F31: bad input is refused before anything is written, by an error that names the field.

The rules stand twice, in Python and in the database for those who write by SQL: whatever
Python lets through, the database takes, and stores it byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb
from sqlalchemy import Engine, select

from coordinator import (
    InvalidEvent,
    InvalidRun,
    Outbox,
    OutboxEvent,
    create_transaction_coordinator,
)
from coordinator.outbox.table import outbox_event
from tests.coordinator.database import engine_on
from tests.promises.hostile import (
    SURROGATE,
    hostile_headers,
    hostile_text,
    json_values,
    nested,
)
from tests.support.postgres import Postgres

EVENT: dict[str, Any] = {"topic": "a", "key": "k", "type": "t", "payload": b"x"}
RUN: dict[str, Any] = {"run_id": "r1", "tenant_id": "t1", "run_status": "failed"}


@pytest.fixture(scope="module")
def emptied_database_url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """One database for all: what is refused leaves nothing, what is taken is rolled back."""
    with postgres.database(migrated_template) as name:
        yield postgres.url(name)


@pytest.fixture(scope="module")
def engine(emptied_database_url: str) -> Iterator[Engine]:
    with engine_on(emptied_database_url) as made:
        yield made


BAD_RUNS: list[tuple[str, object]] = [
    ("run_id", ""),
    ("run_id", "x" * 256),
    ("run_id", "a\0b"),
    ("run_id", SURROGATE),
    ("run_id", None),
    ("run_id", 7),
    ("tenant_id", ""),
    ("tenant_id", "x" * 256),
    ("tenant_id", "a\0b"),
    ("run_status", "exploded"),
    ("run_status", ""),
    ("run_status", None),
    ("run_status", ["failed"]),
    ("agent_id", ""),
    ("agent_id", "x" * 256),
    ("error_code", "a\0b"),
    ("error_message", "x" * 16_385),
    ("error_message", f"a{SURROGATE}"),
    ("trace_id", ""),
    ("synthetic_scenario_id", "x" * 256),
    ("is_synthetic", "yes"),
    ("skip_events", 1),
]


@pytest.mark.parametrize(("field", "value"), BAD_RUNS)
def test_a_bad_argument_is_refused_by_name_before_the_database_is_asked(
    field: str, value: object
) -> None:
    with engine_on("postgresql://nobody@127.0.0.1:1/none") as no_database:
        coordinator = create_transaction_coordinator(engine=no_database)
        with pytest.raises(InvalidRun) as refused:
            coordinator.execute(**(RUN | {field: value}))
    assert refused.value.field == field
    assert isinstance(refused.value, ValueError)


def test_arguments_at_their_limits_are_taken(engine: Engine) -> None:
    widest = "\U0001f600"
    result = create_transaction_coordinator(engine=engine).execute(
        run_id=widest * 255,
        tenant_id=widest * 255,
        run_status="failed",
        agent_id=widest * 255,
        error_code=widest * 255,
        # What JSON writes longest.
        error_message="\x01" * 16_384,
        synthetic_scenario_id=widest * 255,
    )
    assert result.is_complete


BAD_EVENTS: list[tuple[str, object]] = [
    ("topic", ""),
    ("topic", "."),
    ("topic", ".."),
    ("topic", "../x"),
    ("topic", "a b"),
    ("topic", "a\n"),
    ("topic", "ä"),
    ("topic", "a\0"),
    ("topic", "x" * 250),
    ("topic", None),
    ("key", "k" * 8_193),
    ("key", "é" * 4_097),
    ("key", "a\0b"),
    ("key", SURROGATE),
    ("key", b"k"),
    ("type", ""),
    ("type", "x" * 256),
    ("type", "a\nb"),
    ("type", "a\x85b"),
    ("type", None),
    ("content_type", ""),
    ("content_type", "a\r\nb"),
    ("payload", b"x" * 1_000_001),
    ("payload", "text"),
    ("payload", None),
    ("payload", bytearray(b"x")),
    ("headers", {"": "v"}),
    ("headers", {"ce_id": "v"}),
    ("headers", {"CE_anything": "v"}),
    ("headers", {"Content-Type": "v"}),
    ("headers", {"a b": "v"}),
    ("headers", {"-a": "v"}),
    ("headers", {"x" * 256: "v"}),
    ("headers", {"a\n": "v"}),
    ("headers", {"a": "v\r\nx: y"}),
    ("headers", {"a": "\0"}),
    ("headers", {"a": SURROGATE}),
    ("headers", {"a": 1}),
    ("headers", {1: "v"}),
    ("headers", {f"a{number}": "x" * 100 for number in range(200)}),
    ("headers", [("a", "v")]),
    ("id", "not a UUID"),
]


@pytest.mark.parametrize(("field", "value"), BAD_EVENTS, ids=lambda value: repr(value)[:40])
def test_a_bad_field_of_an_event_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InvalidEvent) as refused:
        OutboxEvent(**(EVENT | {field: value}))
    assert refused.value.field.startswith(field)
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize(
    ("field", "value", "limit"),
    [
        ("topic", "x" * 250, "249"),
        ("key", "k" * 8_193, "8192"),
        ("type", "x" * 256, "255"),
        ("payload", b"x" * 1_000_001, "1000000"),
        ("headers", {"a": "x" * 16_384}, "16384"),
    ],
)
def test_a_refusal_names_the_limit(field: str, value: object, limit: str) -> None:
    with pytest.raises(InvalidEvent, match=limit):
        OutboxEvent(**(EVENT | {field: value}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("payload", b"s3cret" * 200_000),
        ("key", "s3cret" * 2_000),
        ("headers", {"a": "s3cret\n"}),
        ("headers", {"a": "s3cret" * 3_000}),
    ],
    ids=["payload", "key", "header", "headers"],
)
def test_a_refusal_does_not_show_the_value(field: str, value: object) -> None:
    with pytest.raises(InvalidEvent) as refused:
        OutboxEvent(**(EVENT | {field: value}))
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "data",
    [float("nan"), 1e400, SURROGATE, nested(100_000), {1, 2}, b"bytes", {("a", "b"): 1}],
    ids=["nan", "1e400", "surrogate", "deep", "set", "bytes", "tuple key"],
)
def test_data_without_an_exact_json_is_refused(data: object) -> None:
    with pytest.raises(InvalidEvent, match="data"):
        OutboxEvent.json(topic="a", key="k", type="t", data=data)


def test_a_tombstone_without_a_key_is_refused() -> None:
    with pytest.raises(InvalidEvent, match="key"):
        OutboxEvent.tombstone(topic="a", key=None, type="t")  # type: ignore[arg-type]  # the bad input


def test_a_tombstone_with_a_payload_is_refused() -> None:
    with pytest.raises(InvalidEvent, match="payload"):
        OutboxEvent(**EVENT, is_tombstone=True)


def test_what_the_caller_does_to_its_headers_later_changes_nothing() -> None:
    headers = {"a": "1"}
    event = OutboxEvent(**EVENT, headers=headers)
    headers["ce_id"] = "forged"
    assert event.headers == {"a": "1"}


def refusal_of(connection: psycopg.Connection[Any], event: dict[str, Any]) -> str:
    """What a writer reads who knows no Python."""
    names = list(event)
    values = [Jsonb(value) if isinstance(value, dict) else value for value in event.values()]
    statement = psycopg.sql.SQL("insert into outbox.event ({}) values ({})").format(
        psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, names)),
        psycopg.sql.SQL(", ").join([psycopg.sql.Placeholder()] * len(names)),
    )
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        connection.execute(statement, values)
    connection.rollback()
    return str(refused.value.diag.message_primary)


def sql_can_say(field: str, value: object) -> bool:
    """Whether the value reaches the check: it has the type, and the protocol can carry it."""
    types = {"payload": bytes, "headers": dict, "id": UUID}
    unsendable = any(code in repr(value) for code in ("\\x00", "\\ud800", "{1: "))
    return not unsendable and isinstance(value, types.get(field, str))


BAD_BY_SQL = [(field, value) for field, value in BAD_EVENTS if sql_can_say(field, value)]


@pytest.mark.parametrize(("field", "value"), BAD_BY_SQL, ids=lambda value: repr(value)[:40])
def test_a_writer_by_sql_is_refused_by_a_sentence_that_names_the_field(
    emptied_database_url: str, field: str, value: object
) -> None:
    with psycopg.connect(emptied_database_url) as connection:
        sentence = refusal_of(connection, EVENT | {field: value})
    assert sentence.startswith(f"outbox event refused: {field}: ")


hostile_events = st.fixed_dictionaries(
    {
        "topic": st.one_of(hostile_text, st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True)),
        "key": st.one_of(st.none(), hostile_text),
        "type": hostile_text,
        "payload": st.binary(max_size=200),
        "content_type": st.one_of(st.just("application/json"), hostile_text),
        "headers": st.one_of(st.just({}), hostile_headers),
    }
)


@settings(max_examples=200, deadline=None)
@given(fields=hostile_events)
@example(fields=EVENT | {"headers": {"a": "\u2028'\"\\%s:x\u202e"}, "key": "%(a)s :b {}"})
@example(fields=EVENT | {"headers": {"a": "é" * 8_180}})
@example(fields=EVENT | {"payload": b"x" * 1_000_000, "key": "é" * 4_096, "topic": "x" * 249})
def test_a_hostile_event_is_refused_or_stored_byte_for_byte(
    engine: Engine, fields: dict[str, Any]
) -> None:
    try:
        event = OutboxEvent(**fields)
    except InvalidEvent:
        return
    with engine.connect() as connection:
        Outbox().add(connection, event)
        row = (
            connection.execute(select(outbox_event).where(outbox_event.c.id == event.id))
            .one()
            ._asdict()
        )
        connection.rollback()
    assert {name: row[name] for name in fields} == fields


@settings(max_examples=60, deadline=None)
@given(text=hostile_text)
def test_a_hostile_run_is_refused_as_bad_input_and_never_by_the_database(
    engine: Engine, text: str
) -> None:
    coordinator = create_transaction_coordinator(engine=engine)
    with suppress(InvalidRun):
        coordinator.execute(
            run_id=f"{text}{uuid4()}",
            tenant_id=text,
            run_status="failed",
            error_message=text,
            agent_id=text,
        )


@settings(max_examples=100, deadline=None)
@given(data=json_values)
def test_json_data_is_refused_or_reads_back_the_same(data: object) -> None:
    try:
        event = OutboxEvent.json(topic="a", key="k", type="t", data=data)
    except InvalidEvent:
        return
    assert event.payload is not None
    assert json.loads(event.payload.decode("utf-8")) == data
