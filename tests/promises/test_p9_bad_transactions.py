"""P9 for any transaction: bad keys, arguments, values, events and names of operations.

Refused by field, problem and limit, with nothing left behind; or taken, and then the same in the
replay and, byte for byte, at the consumer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select

from coordinator import (
    BadInput,
    Coordinator,
    InvalidEvent,
    OutboxEvent,
    Transaction,
    TransactionFailed,
)
from coordinator.engine.claims import transaction_claims
from tests.coordinator.database import engine_on
from tests.promises.hostile import (
    SURROGATE,
    hostile_headers,
    hostile_text,
    json_values,
    nested,
)
from tests.relay.events import idempotency_key
from tests.support.consume import Record, read_topic
from tests.support.kafka import Broker
from tests.support.postgres import Postgres
from tests.support.processes import StartRelay

KEY = ("acme", "r-1")


@pytest.fixture(scope="module")
def engine(postgres: Postgres, migrated_template: str) -> Iterator[Engine]:
    """One database for all: what is refused leaves nothing."""
    with postgres.database(migrated_template) as name, engine_on(postgres.url(name)) as made:
        yield made


def shown(value: object) -> str:
    """In a test's name: repr() refuses a number of 5,000 digits."""
    return value[:30] if isinstance(value, str) else type(value).__name__


def is_untouched(engine: Engine) -> bool:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(transaction_claims)) == 0


def nothing(_: Transaction, *_args: object, **_more: object) -> None:
    pass


BAD_KEYS: list[tuple[object, str, str]] = [
    ("acme", "key", "must be a tuple"),
    (None, "key", "must be a tuple"),
    ({"acme": 1}, "key", "must be a tuple"),
    ((), "key", "must have 1 to 8 parts, has 0"),
    (("x",) * 9, "key", "must have 1 to 8 parts, has 9"),
    (("acme", ""), "key[1]", "must be 1 to 255 characters, has 0"),
    (("acme", "x" * 256), "key[1]", "must be 1 to 255 characters, has 256"),
    (("acme", 10**255), "key[1]", "must be 1 to 255 characters"),
    (("acme", -(10**5_000)), "key[1]", "must be 1 to 255 characters"),
    (("a\0b",), "key[0]", "NUL"),
    ((SURROGATE,), "key[0]", "surrogate"),
    ((None,), "key[0]", "must be text, not NoneType"),
    ((True,), "key[0]", "must be text, not bool"),
    ((1.5,), "key[0]", "must be text, not float"),
    ((b"k",), "key[0]", "must be text, not bytes"),
    ((("a",),), "key[0]", "must be text, not tuple"),
    (("\U0001f600" * 255,) * 2, "key", "is 2040 bytes as UTF-8, the limit is 2000"),
]


@pytest.mark.parametrize(("key", "field", "problem"), BAD_KEYS, ids=shown)
def test_a_bad_key_is_refused_by_part_problem_and_limit(
    engine: Engine, key: Any, field: str, problem: str
) -> None:
    with pytest.raises(BadInput) as refused:
        Coordinator(engine).run(nothing, key=key)
    assert refused.value.field == field
    assert problem in refused.value.problem
    assert is_untouched(engine)


def test_a_key_at_its_limits_is_taken(engine: Engine) -> None:
    widest = ("\U0001f600" * 255, *("x" * 255,) * 3, "x" * 167, 10**10, 0, UUID(int=0))
    assert Coordinator(engine).run(lambda _: 1, key=widest).value == 1
    with engine.begin() as connection:
        connection.exec_driver_sql("delete from public.transaction_records")


BAD_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"amount": float("nan")}, "amount"),
    ({"amount": float("-inf")}, "amount"),
    ({"amount": 10**5_000}, "amount"),
    ({"amount": object()}, "amount"),
    ({"amount": {1, 2}}, "amount"),
    ({"amount": {("a", "b"): 1}}, "amount"),
    ({"amount": {1: "a", "b": 2}}, "amount"),
    ({"amount": nested(100_000)}, "amount"),
    ({"a\0b": 1}, "arguments"),
    ({SURROGATE: 1}, "arguments"),
    ({"": 1}, "arguments"),
    ({"x" * 256: 1}, "arguments"),
    ({"(function)": 1}, "arguments"),
]


@pytest.mark.parametrize(("arguments", "field"), BAD_ARGUMENTS, ids=shown)
def test_a_bad_argument_is_refused_by_name(
    engine: Engine, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(BadInput) as refused:
        Coordinator(engine).run(nothing, key=KEY, **arguments)
    assert refused.value.field == field
    assert is_untouched(engine)


def test_a_refused_argument_is_not_shown(engine: Engine) -> None:
    with pytest.raises(BadInput) as refused:
        Coordinator(engine).run(nothing, key=KEY, card={"s3cret", "s3cret too"})
    assert "s3cret" not in str(refused.value)


BAD_VALUES: list[tuple[object, str]] = [
    (float("nan"), "has no exact JSON"),
    (10**5_000, "has no exact JSON"),
    (b"bytes", "has no exact JSON"),
    ({1, 2}, "has no exact JSON"),
    ({("a", "b"): 1}, "has no exact JSON"),
    (nested(100_000), "has no exact JSON"),
    ("x" * 1_000_000, "the limit is 1000000"),
]


@pytest.mark.parametrize(("value", "problem"), BAD_VALUES, ids=shown)
def test_a_bad_value_fails_the_transaction_by_name_and_limit(
    engine: Engine, value: object, problem: str
) -> None:
    with pytest.raises(TransactionFailed) as failed:
        Coordinator(engine).run(lambda _: value, key=KEY)
    cause = failed.value.cause
    assert isinstance(cause, BadInput)
    assert cause.field == "value"
    assert problem in cause.problem
    assert is_untouched(engine)


BAD_NAMES: list[tuple[object, str]] = [
    ("", "must be 1 to 255 characters, has 0"),
    ("x" * 256, "must be 1 to 255 characters, has 256"),
    ("a\0b", "NUL"),
    (SURROGATE, "surrogate"),
    (None, "must be text, not NoneType"),
    (["card"], "must be text, not list"),
]


@pytest.mark.parametrize(("name", "problem"), BAD_NAMES, ids=shown)
def test_a_bad_name_of_an_operation_fails_the_transaction_by_problem_and_limit(
    engine: Engine, name: Any, problem: str
) -> None:
    with pytest.raises(TransactionFailed) as failed:
        Coordinator(engine).run(lambda tx: tx.operation(name, lambda _: None), key=KEY)
    cause = failed.value.cause
    assert isinstance(cause, BadInput)
    assert cause.field == "operation"
    assert problem in cause.problem
    assert is_untouched(engine)


@pytest.mark.parametrize("event", [None, "order.paid", {"topic": "orders"}], ids=repr)
def test_what_is_no_event_fails_the_transaction_by_name(engine: Engine, event: Any) -> None:
    with pytest.raises(TransactionFailed) as failed:
        Coordinator(engine).run(lambda tx: tx.emit(event), key=KEY)
    assert isinstance(failed.value.cause, BadInput)
    assert failed.value.cause.field == "event"
    assert is_untouched(engine)


hostile_keys = st.lists(
    st.one_of(hostile_text, st.integers(), st.uuids(), st.none()), min_size=0, max_size=4
).map(tuple)
hostile_emissions = st.lists(
    st.fixed_dictionaries(
        {
            "key": st.one_of(st.none(), hostile_text),
            "type": st.one_of(st.just("order.paid"), hostile_text),
            "payload": st.binary(max_size=100),
            "headers": st.one_of(st.just({}), hostile_headers),
        }
    ),
    max_size=3,
)


def legal(topic: str, emissions: list[dict[str, Any]]) -> list[OutboxEvent]:
    """Those that are events; the others' refusals have tests of their own."""
    events = []
    for fields in emissions:
        try:
            events.append(OutboxEvent(topic=topic, **fields))
        except InvalidEvent:
            continue
    return events


def test_a_hostile_transaction_is_refused_or_comes_back_equal_in_replay_and_broker(
    database_url: str, topic: str, broker: Broker, relay_process: StartRelay
) -> None:
    """One relay and one broker for all examples: what was taken is read back in a batch."""
    taken: dict[str, OutboxEvent] = {}

    @settings(max_examples=150, deadline=None)
    @given(
        key=hostile_keys,
        argument=json_values,
        name=hostile_text,
        value=json_values,
        emissions=hostile_emissions,
    )
    @example(key=("%(a)s :b {}",), argument="%s", name="'\"\\", value={"\0": "\0"}, emissions=[])
    @example(key=(1,), argument=None, name="n", value=SURROGATE, emissions=[])
    @example(key=(2,), argument=None, name="n", value=nested(200), emissions=[])
    def carry_out(
        key: Any, argument: Any, name: str, value: Any, emissions: list[dict[str, Any]]
    ) -> None:
        def work(tx: Transaction, _: object) -> object:
            tx.operation(name, lambda _: None)
            emitted.clear()
            emitted.update({str(tx.emit(event)): event for event in legal(topic, emissions)})
            return value

        emitted: dict[str, OutboxEvent] = {}
        try:
            outcome = coordinator.run(work, argument, key=(count(), *key))
        except BadInput:
            return
        except TransactionFailed as failed:
            if not isinstance(failed.cause, BadInput):
                raise
            return
        assert outcome.value == value
        again = coordinator.run(work, argument, key=(numbers[-1], *key))
        assert again.replayed
        assert (again.value, again.results, again.event_ids) == (
            outcome.value,
            outcome.results,
            outcome.event_ids,
        )
        taken.update(emitted)

    numbers: list[int] = []

    def count() -> int:
        numbers.append(len(numbers))
        return numbers[-1]

    with engine_on(database_url) as engine:
        coordinator = Coordinator(engine)
        carry_out()
    assert taken, "no example was taken"
    servers = broker.bootstrap_servers
    assert relay_process(database_url, servers, "--until-drained").wait() == 0
    records = {
        idempotency_key(record): record
        for record in read_topic(servers, topic, at_least=len(taken))
    }
    assert {event_id: as_read(record) for event_id, record in records.items()} == {
        event_id: as_sent(event) for event_id, event in taken.items()
    }


def as_read(record: Record) -> tuple[object, ...]:
    own = {
        name: (value or b"").decode()
        for name, value in record.headers
        if not name.startswith("ce_") and name != "content-type"
    }
    return record.key, record.value, (record.header("ce_type") or b"").decode(), own


def as_sent(event: OutboxEvent) -> tuple[object, ...]:
    key = None if event.key is None else event.key.encode()
    return key, event.payload, event.type, dict(event.headers)
