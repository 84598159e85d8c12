"""Coordinator: once for each key; a repeat gets the first outcome, other arguments a conflict."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from threading import Barrier, Event
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.event import listen

from coordinator import (
    BadInput,
    KeyConflict,
    OutboxEvent,
    Outcome,
    Transaction,
    TransactionFailed,
)
from coordinator.idempotency import derived_event_id
from coordinator.outbox.table import outbox_event
from tests.coordinator.database import count, statements_of
from tests.coordinator.orders import DONE_ONCE, KEY, done, order_event, pay
from tests.coordinator.shells import Shell
from tests.coordinator.test_repeat import waiting_for_a_lock
from tests.support.wait import until

ANOTHER_PROCESS = """
import json, os
from dataclasses import asdict
from sqlalchemy import create_engine
from coordinator import Coordinator
from tests.coordinator.orders import KEY, pay
outcome = Coordinator(create_engine(os.environ["URL"])).run(pay, 7, amount="9.50", key=KEY)
print(json.dumps([outcome.replayed, outcome.value, [str(id_) for id_ in outcome.event_ids]]))
"""


def event(type_: str, key: str = "k") -> OutboxEvent:
    return OutboxEvent(topic="t", key=key, type=type_, payload=b"")


def test_a_repeat_returns_the_first_outcome_and_says_so(orders: Engine, shell: Shell) -> None:
    coordinator = shell(orders)
    first = coordinator.run(pay, 7, amount="9.50", key=KEY)
    second = coordinator.run(pay, 7, amount="9.50", key=KEY)
    assert second.replayed
    assert replace(second, replayed=False) == first


def test_a_repeat_writes_nothing(orders: Engine, shell: Shell) -> None:
    coordinator = shell(orders)
    coordinator.run(pay, 7, amount="9.50", key=KEY)
    with statements_of(Engine) as sent:
        coordinator.run(pay, 7, amount="9.50", key=KEY)
    assert done(orders) == DONE_ONCE
    assert len(sent) == 2


def test_a_repeat_by_another_process_gets_the_first_outcome(orders: Engine, shell: Shell) -> None:
    first = shell(orders).run(pay, 7, amount="9.50", key=KEY)
    said = subprocess.run(
        [sys.executable, "-c", ANOTHER_PROCESS],
        env=os.environ | {"URL": orders.url.render_as_string(hide_password=False)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert json.loads(said) == [True, first.value, [str(id_) for id_ in first.event_ids]]
    assert done(orders) == DONE_ONCE


def test_names_and_texts_of_a_value_come_back_in_their_order_and_exactly(
    orders: Engine, shell: Shell
) -> None:
    value = {"b": 1.0, "a": [10**30, "nul \0, surrogate \ud800"], "": None}

    def returns(_: Transaction) -> object:
        return value

    coordinator = shell(orders)
    coordinator.run(returns, key=KEY)
    repeated = coordinator.run(returns, key=KEY).value
    assert json.dumps(repeated) == json.dumps(value)


@pytest.mark.parametrize(
    ("args", "kwargs", "fields"),
    [
        ((8,), {"amount": "9.50"}, ("order_id",)),
        ((7,), {"amount": "9.51"}, ("amount",)),
        ((7,), {"amount": "9.50", "note": "x"}, ("note",)),
        ((8,), {"amount": "1", "note": "x"}, ("order_id", "amount", "note")),
        (("7",), {"amount": "9.50"}, ("order_id",)),
    ],
)
def test_other_arguments_are_a_conflict_that_names_them(
    orders: Engine, shell: Shell, args: tuple[Any], kwargs: dict[str, Any], fields: tuple[str, ...]
) -> None:
    coordinator = shell(orders)
    coordinator.run(pay, 7, amount="9.50", key=KEY)
    with pytest.raises(KeyConflict) as conflict:
        coordinator.run(pay, *args, key=KEY, **kwargs)
    assert conflict.value.fields == fields
    assert done(orders) == DONE_ONCE


def test_an_argument_that_was_given_and_is_not_any_more_is_a_conflict(
    orders: Engine, shell: Shell
) -> None:
    coordinator = shell(orders)
    coordinator.run(pay, 7, amount="9.50", note="x", key=KEY)
    with pytest.raises(KeyConflict, match="note"):
        coordinator.run(pay, 7, amount="9.50", key=KEY)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {"order_id": 7, "amount": "9.50"}), ((7,), {"amount": "9.50", "note": None})],
    ids=["by name", "its default"],
)
def test_the_same_arguments_in_another_form_are_the_same_call(
    orders: Engine, shell: Shell, args: tuple[Any], kwargs: dict[str, Any]
) -> None:
    coordinator = shell(orders)
    coordinator.run(pay, 7, amount="9.50", key=KEY)
    assert coordinator.run(pay, *args, key=KEY, **kwargs).replayed


def test_arguments_that_the_function_takes_by_any_name_are_named_one_by_one(
    orders: Engine,
    shell: Shell,
) -> None:
    def takes_any(_tx: Transaction, **fields: object) -> None: ...

    coordinator = shell(orders)
    coordinator.run(takes_any, key=KEY, colour="red", size=1)
    with pytest.raises(KeyConflict) as conflict:
        coordinator.run(takes_any, key=KEY, colour="red", size=2)
    assert conflict.value.fields == ("size",)


def test_a_mapping_in_another_order_is_the_same_argument(orders: Engine, shell: Shell) -> None:
    def takes(_tx: Transaction, _fields: object) -> None: ...

    coordinator = shell(orders)
    coordinator.run(takes, {"a": 1, "b": 2}, key=KEY)
    assert coordinator.run(takes, {"b": 2, "a": 1}, key=KEY).replayed


def test_another_function_under_the_same_key_is_a_conflict(orders: Engine, shell: Shell) -> None:
    coordinator = shell(orders)
    coordinator.run(pay, 7, amount="9.50", key=KEY)
    with pytest.raises(KeyConflict, match="function"):
        coordinator.run(order_event, 7, key=KEY)


def test_another_key_is_another_transaction(orders: Engine, shell: Shell) -> None:
    coordinator = shell(orders)
    coordinator.run(order_event, key=("a", "b,c"))
    assert not coordinator.run(order_event, key=("a,b", "c")).replayed


def test_a_number_or_uuid_in_a_key_is_its_text(orders: Engine, shell: Shell) -> None:
    coordinator = shell(orders)
    coordinator.run(order_event, key=("a", 7, UUID(int=1)))
    assert coordinator.run(order_event, key=("a", "7", str(UUID(int=1)))).replayed


@dataclass
class Item:
    """An argument of a user's own type."""

    price: Decimal


@pytest.mark.parametrize(
    ("value", "other"),
    [
        (Decimal("1.0"), Decimal("1.1")),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)),
        (UUID(int=1), UUID(int=2)),
        (Item(Decimal(1)), Item(Decimal(2))),
        (b"a", b"b"),
        ({"b": 1, "a": 2}, {"b": 1, "a": 3}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_argument_of_this_type_is_compared(
    orders: Engine, shell: Shell, value: Any, other: Any
) -> None:
    def takes(_tx: Transaction, thing: object) -> None:
        assert thing is value

    coordinator = shell(orders)
    coordinator.run(takes, value, key=KEY)
    assert coordinator.run(takes, value, key=KEY).replayed
    with pytest.raises(KeyConflict, match="thing"):
        coordinator.run(takes, other, key=KEY)


@pytest.mark.parametrize("value", [object(), float("nan"), {1}])
def test_an_argument_that_cannot_be_compared_is_refused_with_its_name(
    orders: Engine, shell: Shell, value: object
) -> None:
    with pytest.raises(BadInput, match="amount: must be JSON values"):
        shell(orders).run(pay, 7, amount=value, key=KEY)
    assert done(orders) == {}


def test_an_event_without_an_id_gets_one_of_key_type_and_ordinal(
    orders: Engine, shell: Shell
) -> None:
    def emits(tx: Transaction) -> None:
        for type_ in ("a", "b", "a"):
            tx.emit(event(type_))

    ids = shell(orders).run(emits, key=("acme", 7)).event_ids
    assert ids == (
        derived_event_id(("acme", "7"), "a", 0),
        derived_event_id(("acme", "7"), "b", 0),
        derived_event_id(("acme", "7"), "a", 1),
    )
    with orders.connect() as connection:
        stored = connection.scalars(select(outbox_event.c.id).order_by(outbox_event.c.position))
        assert tuple(stored) == ids


def test_the_derived_id_is_the_same_in_every_release() -> None:
    assert derived_event_id(("acme", "7"), "order.paid", 0) == UUID(
        "5acca309-699c-50e9-82be-139f474ba330"
    )


def test_an_event_keeps_an_id_of_its_own(orders: Engine, shell: Shell) -> None:
    own = UUID(int=5)
    outcome = shell(orders).run(lambda tx: str(tx.emit(replace(event("a"), id=own))), key=KEY)
    assert outcome.event_ids == (own,)


def test_a_key_that_failed_can_be_done_later_under_the_same_event_ids(
    orders: Engine, shell: Shell
) -> None:
    ids: list[UUID] = []

    def fails_once(tx: Transaction) -> None:
        ids.append(tx.emit(event("a")))
        if len(ids) == 1:
            raise OSError

    coordinator = shell(orders)
    with pytest.raises(TransactionFailed):
        coordinator.run(fails_once, key=KEY)
    assert not coordinator.run(fails_once, key=KEY).replayed
    assert ids[0] == ids[1]
    assert count(orders, outbox_event) == 1


def test_two_callers_at_once_do_it_once_and_both_get_the_outcome(
    orders: Engine, shell: Shell
) -> None:
    started, may_go_on = Event(), Event()

    def waits(tx: Transaction) -> str:
        started.set()
        assert may_go_on.wait(30)
        tx.emit(event("a"))
        return "done"

    coordinator = shell(orders)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(coordinator.run, waits, key=KEY)
        assert started.wait(30)
        second = pool.submit(coordinator.run, waits, key=KEY)
        until(lambda: waiting_for_a_lock(orders), what="the second caller to wait for the first")
        may_go_on.set()
        outcomes = [first.result(), second.result()]
    assert [outcome.replayed for outcome in outcomes] == [False, True]
    assert [outcome.value for outcome in outcomes] == ["done", "done"]
    assert count(orders, outbox_event) == 1


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_many_callers_of_one_key_do_it_once_under_every_isolation(
    orders: Engine, shell: Shell, isolation: Any
) -> None:
    coordinator = shell(orders.execution_options(isolation_level=isolation))
    together = Barrier(8)

    def call() -> Outcome:
        together.wait(30)
        return coordinator.run(pay, 7, amount="9.50", key=KEY)

    with ThreadPoolExecutor(8) as pool:
        outcomes = [called.result() for called in [pool.submit(call) for _ in range(8)]]
    assert sum(not outcome.replayed for outcome in outcomes) == 1
    assert len({outcome.event_ids for outcome in outcomes}) == 1
    assert done(orders) == DONE_ONCE


def test_events_of_one_kafka_key_are_written_in_commit_order(
    orders: Engine, shell: Shell, armed_failpoints: Any
) -> None:
    """P4: the second writer of the key waits for the first one's commit, and not only its row."""
    coordinator = shell(orders)
    second: list[Any] = []

    def start_the_second() -> None:
        second.append(pool.submit(coordinator.run, order_event, 7, key=("other",)))
        until(lambda: waiting_for_a_lock(orders), what="the second to wait for the event's key")

    armed_failpoints.arm("coordinator.before_commit", start_the_second)
    with ThreadPoolExecutor(1) as pool:
        coordinator.run(order_event, 7, key=KEY)
        assert not second[0].result().replayed


def test_the_kafka_keys_of_a_transaction_are_locked_in_one_order_for_all(
    orders: Engine, shell: Shell
) -> None:
    """Two transactions that emit for the same keys in another order would wait for each other."""
    locked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, found: Any, *_: object) -> None:
        values = found.values() if isinstance(found, dict) else found  # by name, or by place
        if "pg_advisory_xact_lock" in statement:
            locked.extend(next(value for value in values if isinstance(value, list)))

    def emits(tx: Transaction) -> None:
        for place in reversed(range(10)):
            tx.emit(event("a", key=f"key-{place}"))

    listen(shell.engine(orders), "before_cursor_execute", note)
    shell(orders).run(emits, key=KEY)
    assert locked == [f"key-{place}" for place in range(10)]


def test_a_record_that_is_deleted_takes_its_claim_along(
    orders: Engine, shell: Shell, delete_records: Callable[[], None]
) -> None:
    coordinator = shell(orders)
    coordinator.run(order_event, key=KEY)
    delete_records()
    assert done(orders) == {"event": 1}
    assert not coordinator.run(order_event, key=KEY).replayed


@pytest.fixture
def delete_records(orders: Engine) -> Callable[[], None]:
    from coordinator.engine.claims import transaction_records

    def delete() -> None:
        with orders.begin() as connection:
            connection.execute(transaction_records.delete())

    return delete
