"""Coordinator.run: any transaction of several domains, its events with it, all or nothing."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from coordinator import (
    BadInput,
    DomainResult,
    FacadeEndedTransaction,
    OutboxEvent,
    Outcome,
    RollbackAction,
    Transaction,
    TransactionFailed,
    WrongUse,
)
from coordinator.engine.claims import transaction_acks
from coordinator.outbox.table import outbox_event
from tests.coordinator.database import statements_of
from tests.coordinator.orders import KEY, done, order_event, pay, statuses
from tests.coordinator.shells import Shell


def test_rows_events_and_the_outcome_are_there_after_the_call(orders: Engine, shell: Shell) -> None:
    outcome = shell(orders).run(pay, 7, amount="9.50", key=KEY)
    assert statuses(orders) == {7: "paid"}
    with orders.connect() as connection:
        rows = connection.execute(select(outbox_event).order_by(outbox_event.c.position)).all()
    assert [(row.topic, row.key, row.type) for row in rows] == [("orders", "7", "order.paid")]
    assert outcome == Outcome(
        value={"order": 7, "amounts": ["9.50"]},
        results={"order": DomainResult("order", id="7"), "ledger": DomainResult("ledger")},
        event_ids=(rows[0].id,),
        replayed=False,
    )


def test_an_error_of_the_function_leaves_nothing_and_is_the_cause(
    orders: Engine, shell: Shell
) -> None:
    def breaks(tx: Transaction) -> None:
        pay(tx, 7, amount="1")
        raise KeyError("no such thing")

    with pytest.raises(TransactionFailed) as failed:
        shell(orders).run(breaks, key=KEY)
    assert isinstance(failed.value.cause, KeyError)
    assert failed.value.__cause__ is failed.value.cause
    assert done(orders) == {}
    assert statuses(orders) == {7: "open"}


def test_a_failure_says_which_phase_was_reached_and_what_was_done(
    orders: Engine, shell: Shell
) -> None:
    def two_steps(tx: Transaction) -> None:
        tx.operation("order", lambda _: DomainResult("order", id="7"), phase="order_paid")
        tx.operation("ledger", divides_by_zero)

    with pytest.raises(TransactionFailed, match="reached: order_paid") as failed:
        shell(orders).run(two_steps, key=KEY)
    assert failed.value.phase == "order_paid"
    assert failed.value.partial_results == {"order": DomainResult("order", id="7")}
    assert isinstance(failed.value.cause, DBAPIError)


def test_the_phase_of_an_operation_is_its_name_where_none_is_given(
    orders: Engine, shell: Shell
) -> None:
    reached: list[str] = []

    def one_step(tx: Transaction) -> None:
        reached.append(tx.phase)
        tx.operation("order", lambda _: None)
        reached.append(tx.phase)

    shell(orders).run(one_step, key=KEY)
    assert reached == ["not_started", "order"]


def test_an_operation_hands_its_result_to_the_function(orders: Engine, shell: Shell) -> None:
    def uses_it(tx: Transaction) -> Any:
        return tx.operation("order", lambda _: DomainResult("order", id="42")).id

    assert shell(orders).run(uses_it, key=KEY).value == "42"


def test_an_operation_that_returns_something_else_is_refused_by_name(
    orders: Engine, shell: Shell
) -> None:
    def returns_rows(session: Session) -> Any:
        return session.execute(text("select 1"))

    with pytest.raises(TransactionFailed) as failed:
        shell(orders).run(lambda tx: tx.operation("order", returns_rows) and None, key=KEY)
    assert isinstance(failed.value.cause, WrongUse)
    assert "'order' must return a DomainResult or None" in str(failed.value.cause)


def test_an_operation_that_fails_fails_the_whole_though_its_error_is_caught(
    orders: Engine,
    shell: Shell,
) -> None:
    def swallows(tx: Transaction) -> None:
        pay(tx, 7, amount="1")
        with suppress(OSError):
            tx.operation("mail", raises_oserror)

    with pytest.raises(TransactionFailed) as failed:
        shell(orders).run(swallows, key=KEY)
    assert isinstance(failed.value.cause, OSError)
    assert done(orders) == {}


def divides_by_zero(session: Session) -> None:
    session.execute(text("select 1 / 0"))


def raises_oserror(_: Session) -> DomainResult:
    raise OSError("the mail server is away")


@pytest.mark.parametrize("statement", ["commit", "rollback", "close"])
def test_a_function_that_ends_the_transaction_is_refused(
    orders: Engine, shell: Shell, statement: str
) -> None:
    def ends(tx: Transaction) -> None:
        pay(tx, 7, amount="1")
        getattr(tx.session, statement)()

    with pytest.raises(TransactionFailed) as failed:
        shell(orders).run(ends, key=KEY)
    assert isinstance(failed.value.cause, FacadeEndedTransaction)
    assert failed.value.cause.deed == f"session.{statement}()"
    assert done(orders) == {}


def test_an_operation_that_ends_the_transaction_is_refused_by_its_own_name(
    orders: Engine,
    shell: Shell,
) -> None:
    def ends(tx: Transaction) -> None:
        with suppress(FacadeEndedTransaction):
            tx.operation("ledger", lambda session: session.commit())

    with pytest.raises(TransactionFailed) as failed:
        shell(orders).run(ends, key=KEY)
    assert isinstance(failed.value.cause, FacadeEndedTransaction)
    assert failed.value.cause.operation == "ledger"
    assert done(orders) == {}


def test_a_commit_on_the_drivers_connection_is_refused_by_the_database(
    orders: Engine, shell: Shell
) -> None:
    def smuggles(tx: Transaction) -> None:
        pay(tx, 7, amount="1")
        tx.session.connection().connection.dbapi_connection.commit()  # type: ignore[union-attr]  # the session is connected

    with pytest.raises(TransactionFailed) as failed:
        shell(orders).run(smuggles, key=KEY)
    assert "claimed_key_is_recorded_in_the_same_commit" in str(failed.value.cause)
    assert done(orders) == {}


def test_undo_actions_run_in_reverse_with_their_results_and_leave_an_ack_each(
    orders: Engine,
    shell: Shell,
) -> None:
    undone: list[str | None] = []

    def fails_at_the_end(tx: Transaction) -> None:
        tx.operation("card", lambda _: DomainResult("card", id="charge-1"), undo=undo)
        tx.operation("parcel", lambda _: DomainResult("parcel", id="label-2"), undo=undo)
        raise ValueError("no stock")

    def undo(result: DomainResult) -> None:
        undone.append(result.id)
        if result.domain == "parcel":
            raise OSError("the label stays")

    with pytest.raises(TransactionFailed) as failed:
        shell(orders).run(fails_at_the_end, key=KEY)
    assert undone == ["label-2", "charge-1"]
    with orders.connect() as connection:
        rows = connection.execute(
            select(transaction_acks).order_by(transaction_acks.c.created_at)
        ).all()
    assert [(row.key, row.domain, row.reason, row.action_error) for row in rows] == [
        (["acme", "7"], "parcel", "ValueError: no stock", "OSError: the label stays"),
        (["acme", "7"], "card", "ValueError: no stock", None),
    ]
    assert [(ack.domain, ack.action_succeeded) for ack in failed.value.acks] == [
        ("parcel", False),
        ("card", True),
    ]


def test_an_undo_runs_where_the_operations_rows_are_refused_after_its_effect(
    orders: Engine,
    shell: Shell,
) -> None:
    undone: list[str] = []

    def act(session: Session) -> DomainResult:
        RollbackAction("card", "refund", lambda: undone.append("refund")).register(session)
        session.execute(text("insert into orders (id, status) values (7, 'twice')"))
        return DomainResult("card")

    with pytest.raises(TransactionFailed):
        shell(orders).run(lambda tx: tx.operation("card", act) and None, key=KEY)
    assert undone == ["refund"]


def test_no_undo_runs_after_a_commit_nor_for_a_repeat(orders: Engine, shell: Shell) -> None:
    undone: list[DomainResult] = []

    def charges(tx: Transaction) -> None:
        tx.operation("card", lambda _: None, undo=undone.append)

    coordinator = shell(orders)
    coordinator.run(charges, key=KEY)
    coordinator.run(charges, key=KEY)
    assert undone == []


def test_an_event_reaches_the_outbox_byte_for_byte(orders: Engine, shell: Shell) -> None:
    sent = OutboxEvent(
        topic="t", key="k", type="x", payload=b"\x00\xff", headers={"traceparent": "00-1-2-3"}
    )
    shell(orders).run(lambda tx: str(tx.emit(sent)), key=KEY)
    with orders.connect() as connection:
        row = connection.execute(select(outbox_event)).one()
    assert (row.payload, row.headers, row.content_type) == (
        sent.payload,
        sent.headers,
        sent.content_type,
    )


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}, "x" * 1_000_000])
def test_a_value_that_a_repeat_could_not_get_is_refused_and_nothing_written(
    orders: Engine, shell: Shell, value: object
) -> None:
    def returns(tx: Transaction) -> object:
        pay(tx, 7, amount="1")
        return value

    with pytest.raises(TransactionFailed, match="value: ") as failed:
        shell(orders).run(returns, key=KEY)
    assert isinstance(failed.value.cause, BadInput)
    assert done(orders) == {}


@pytest.mark.parametrize(
    "key",
    [
        "acme",
        (),
        ("",),
        ("a", None),
        ("a", True),
        ("a\0",),
        ("\ud800",),
        ("x" * 256,),
        ("a",) * 9,
        ("€" * 250,) * 3,
    ],
    ids=ascii,
)
def test_a_key_that_breaks_its_rule_is_refused_before_anything(
    orders: Engine, shell: Shell, key: Any
) -> None:
    with pytest.raises(BadInput, match="key"):
        shell(orders).run(order_event, key=key)


def test_the_longest_key_is_taken(orders: Engine, shell: Shell) -> None:
    # Random, as PostgreSQL compresses what it indexes.
    parts = [chr(0x4E00 + (place * 7919) % 20_000) for place in range(666)]
    key = ("".join(parts[:222]), "".join(parts[222:444]), "".join(parts[444:]), "ab")
    assert sum(len(part.encode()) for part in key) == 2_000
    assert not shell(orders).run(order_event, key=key).replayed


@pytest.mark.parametrize("phase", ["committed", "not_started", "rolled_back"])
def test_a_phase_that_only_the_engine_reaches_is_refused(
    orders: Engine, shell: Shell, phase: str
) -> None:
    with pytest.raises(TransactionFailed) as failed:
        shell(orders).run(
            lambda tx: tx.operation("a", lambda _: None, phase=phase) and None, key=KEY
        )
    assert isinstance(failed.value.cause, WrongUse)


def test_an_operation_of_the_same_name_twice_is_refused(orders: Engine, shell: Shell) -> None:
    def twice(tx: Transaction) -> None:
        tx.operation("a", lambda _: None)
        tx.operation("a", lambda _: None)

    with pytest.raises(TransactionFailed) as failed:
        shell(orders).run(twice, key=KEY)
    assert isinstance(failed.value.cause, WrongUse)


def test_a_transaction_that_is_over_takes_nothing_more(orders: Engine, shell: Shell) -> None:
    kept: list[Transaction] = []
    shell(orders).run(kept.append, key=KEY)
    event = OutboxEvent(topic="t", key="k", type="x", payload=b"")
    with pytest.raises(WrongUse):
        kept[0].emit(event)


def test_an_engine_in_autocommit_is_refused(orders: Engine, shell: Shell) -> None:
    coordinator = shell(orders.execution_options(isolation_level="AUTOCOMMIT"))
    with pytest.raises(TransactionFailed, match="NoTransaction"):
        coordinator.run(order_event, key=KEY)
    assert done(orders) == {}


def test_a_transaction_takes_four_statements_beside_its_operations(
    orders: Engine, shell: Shell
) -> None:
    with statements_of(Engine) as sent:
        shell(orders).run(pay, 7, amount="1", key=KEY)
    assert [" ".join(statement.lower().split("(")[0].split()[:3]) for statement in sent] == [
        "insert into public.transaction_claims",
        "update orders set",
        "insert into ledger",
        "select pg_advisory_xact_lock",
        "insert into outbox.event",
        "insert into public.transaction_records",
    ]
