"""Coordinator.join: in the caller's own transaction, which it never commits and never repeats."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from coordinator import (
    DomainResult,
    FacadeEndedTransaction,
    KeyConflict,
    NoTransaction,
    Outcome,
    Transaction,
    WrongUse,
)
from coordinator.idempotency import derived_event_id
from tests.coordinator.orders import DONE_ONCE, KEY, done, order_event, pay, statuses
from tests.coordinator.shells import Shell, on_a_loop
from tests.coordinator.test_repeat import waiting_for_a_lock
from tests.support.wait import until


def join_and_pay(engine: Engine, shell: Shell, **options: Any) -> Outcome:
    """As a caller does who repeats his transaction."""
    with (
        Session(shell.engine(engine)) as session,
        session.begin(),
        shell(engine).join(session, key=KEY, **options) as tx,
    ):
        if not tx.replayed:
            tx.value = pay(tx, 7, amount="9.50")
    return tx.result


def test_the_block_is_part_of_the_callers_transaction_and_not_committed(
    orders: Engine, shell: Shell
) -> None:
    with Session(shell.engine(orders)) as session:
        session.execute(text("insert into orders values (8, 'new')"))
        with shell(orders).join(session, key=KEY) as tx:
            pay(tx, 7, amount="9.50")
        assert done(orders) == {}
        session.commit()
    assert done(orders) == DONE_ONCE
    assert statuses(orders) == {7: "paid", 8: "new"}


def test_a_rollback_of_the_caller_takes_everything_and_frees_the_key(
    orders: Engine, shell: Shell
) -> None:
    with Session(shell.engine(orders)) as session:
        with shell(orders).join(session, key=KEY) as tx:
            pay(tx, 7, amount="9.50")
        session.rollback()
    assert done(orders) == {}
    assert not join_and_pay(orders, shell).replayed


def test_the_result_of_a_block_has_what_a_run_has(orders: Engine, shell: Shell) -> None:
    assert join_and_pay(orders, shell) == Outcome(
        value={"order": 7, "amounts": ["9.50"]},
        results={"order": DomainResult("order", id="7"), "ledger": DomainResult("ledger")},
        event_ids=(derived_event_id(("acme", "7"), "order.paid", 0),),
    )


def test_a_repeat_gets_the_first_result_and_writes_nothing(orders: Engine, shell: Shell) -> None:
    first, second = join_and_pay(orders, shell), join_and_pay(orders, shell)
    assert (first.replayed, second.replayed) == (False, True)
    assert (first.value, first.event_ids) == (second.value, second.event_ids)
    assert done(orders) == DONE_ONCE


def test_other_arguments_are_a_conflict_that_names_them(orders: Engine, shell: Shell) -> None:
    join_and_pay(orders, shell, arguments={"amount": "9.50", "order": 7})
    with pytest.raises(KeyConflict) as conflict:
        join_and_pay(orders, shell, arguments={"amount": "9.51", "order": 7})
    assert conflict.value.fields == ("amount",)


def test_a_block_that_does_not_ask_whether_it_is_a_repeat_cannot_do_it_twice(
    orders: Engine,
    shell: Shell,
) -> None:
    def forgetful() -> None:
        with (
            Session(shell.engine(orders)) as session,
            session.begin(),
            shell(orders).join(session, key=KEY),
        ):
            session.execute(text("insert into ledger values ('1')"))

    forgetful()
    with pytest.raises(WrongUse, match="replayed"):
        forgetful()
    assert done(orders)["ledger"] == 1


@pytest.mark.parametrize("use", ["session", "emit", "operation"])
def test_in_a_repeat_the_transaction_takes_nothing(orders: Engine, shell: Shell, use: str) -> None:
    join_and_pay(orders, shell)
    uses: dict[str, Callable[[Transaction], object]] = {
        "session": lambda tx: tx.session,
        "emit": order_event,
        "operation": lambda tx: tx.operation("a", lambda _: None),
    }
    with (
        pytest.raises(WrongUse),
        Session(shell.engine(orders)) as session,
        shell(orders).join(session, key=KEY) as tx,
    ):
        uses[use](tx)


def test_an_error_in_the_block_leaves_it_as_it_is_and_nothing_can_be_committed(
    orders: Engine,
    shell: Shell,
) -> None:
    def pays_and_fails(session: Session) -> None:
        with shell(orders).join(session, key=KEY) as tx:
            pay(tx, 7, amount="9.50")
            raise OSError("mine")

    with Session(shell.engine(orders)) as session:
        with pytest.raises(OSError, match="mine"):
            pays_and_fails(session)
        with pytest.raises(IntegrityError, match="claimed_key_is_recorded"):
            session.commit()
    assert done(orders) == {}


def test_an_operation_that_fails_fails_the_block_though_its_error_is_caught(
    orders: Engine,
    shell: Shell,
) -> None:
    def fails(_: Session) -> None:
        raise OSError("mine")

    with (
        pytest.raises(OSError, match="mine"),
        Session(shell.engine(orders)) as session,
        session.begin(),
        shell(orders).join(session, key=KEY) as tx,
        suppress(OSError),
    ):
        tx.operation("mail", fails)
    assert done(orders) == {}


def test_nothing_is_tried_again(orders: Engine, shell: Shell) -> None:
    attempts: list[int] = []

    def loses_a_race(session: Session) -> None:
        attempts.append(1)
        session.execute(text("do $$begin raise sqlstate '40001'; end$$"))

    with (
        pytest.raises(DBAPIError),
        Session(shell.engine(orders)) as session,
        session.begin(),
        shell(orders).join(session, key=KEY) as tx,
    ):
        tx.operation("race", loses_a_race)
    assert attempts == [1]


def test_a_commit_inside_the_block_is_refused_by_the_database(orders: Engine, shell: Shell) -> None:
    def commits_inside() -> None:
        with Session(shell.engine(orders)) as session, shell(orders).join(session, key=KEY) as tx:
            pay(tx, 7, amount="9.50")
            session.commit()

    with pytest.raises(IntegrityError, match="claimed_key_is_recorded"):
        commits_inside()
    assert done(orders) == {}


def test_a_rollback_inside_the_block_is_found_at_its_end(orders: Engine, shell: Shell) -> None:
    def rolls_back_inside() -> None:
        with (
            Session(shell.engine(orders)) as session,
            session.begin(),
            shell(orders).join(session, key=KEY) as tx,
        ):
            pay(tx, 7, amount="9.50")
            session.connection().connection.rollback()

    with pytest.raises(FacadeEndedTransaction):
        rolls_back_inside()
    assert done(orders) == {}


def test_an_operation_that_commits_the_callers_transaction_is_refused_by_name(
    orders: Engine,
    shell: Shell,
) -> None:
    with (
        pytest.raises(FacadeEndedTransaction) as refused,
        Session(shell.engine(orders)) as session,
        shell(orders).join(session, key=KEY) as tx,
    ):
        tx.operation("ledger", lambda own: own.commit())
    assert refused.value.operation == "ledger"
    assert done(orders) == {}


def test_an_undo_is_refused_as_the_end_is_not_seen_here(orders: Engine, shell: Shell) -> None:
    with (
        pytest.raises(WrongUse, match="rollback action"),
        Session(shell.engine(orders)) as session,
        shell(orders).join(session, key=KEY) as tx,
    ):
        tx.operation("card", lambda _: None, undo=lambda _: None)


def test_run_and_join_share_the_keys(orders: Engine, shell: Shell) -> None:
    def nothing(_: Transaction) -> None: ...

    shell(orders).run(nothing, key=KEY)
    with pytest.raises(KeyConflict, match="function"):
        join_and_pay(orders, shell)


def test_a_joined_key_makes_others_wait_for_the_callers_end(orders: Engine, shell: Shell) -> None:
    with ThreadPoolExecutor(1) as pool, Session(shell.engine(orders)) as session:
        with shell(orders).join(session, key=KEY) as tx:
            tx.value = pay(tx, 7, amount="9.50")
        other = pool.submit(on_a_loop, join_and_pay, orders, shell)
        until(lambda: waiting_for_a_lock(orders), what="the other to wait for the caller's end")
        session.commit()
        assert other.result().replayed


def test_the_same_key_inside_its_own_block_is_refused(orders: Engine, shell: Shell) -> None:
    coordinator = shell(orders)
    with (
        pytest.raises(WrongUse, match="this very transaction"),
        Session(shell.engine(orders)) as session,
        coordinator.join(session, key=KEY),
        coordinator.join(session, key=KEY),
    ):
        pass


def test_a_savepoint_that_is_rolled_back_frees_the_key(orders: Engine, shell: Shell) -> None:
    coordinator = shell(orders)
    with Session(shell.engine(orders)) as session, session.begin():
        with suppress(OSError), session.begin_nested(), coordinator.join(session, key=KEY) as tx:
            pay(tx, 7, amount="1")
            raise OSError
        with coordinator.join(session, key=KEY) as tx:
            assert not tx.replayed
            pay(tx, 7, amount="9.50")
    assert done(orders) == DONE_ONCE


def test_a_session_in_autocommit_is_refused(orders: Engine, shell: Shell) -> None:
    autocommit = orders.execution_options(isolation_level="AUTOCOMMIT")
    with (
        pytest.raises(NoTransaction),
        Session(shell.engine(autocommit)) as session,
        shell(orders).join(session, key=KEY),
    ):
        pass
    assert done(orders) == {}


def test_there_is_no_result_before_the_end_of_the_block(orders: Engine, shell: Shell) -> None:
    with (
        Session(shell.engine(orders)) as session,
        shell(orders).join(session, key=KEY) as tx,
        pytest.raises(WrongUse),
    ):
        assert tx.result is None


def test_a_repeat_that_did_not_ask_cannot_be_committed(orders: Engine, shell: Shell) -> None:
    join_and_pay(orders, shell)
    with Session(shell.engine(orders)) as session:
        with suppress(WrongUse), shell(orders).join(session, key=KEY):
            session.execute(text("insert into ledger values ('again')"))
        with pytest.raises(IntegrityError):
            session.commit()
    assert done(orders) == DONE_ONCE
