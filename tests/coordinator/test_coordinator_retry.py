"""Coordinator.run: what lost a race or a connection is tried again; a user's own error never."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from coordinator import (
    CommitOutcomeUnknown,
    Coordinator,
    DomainResult,
    RetryBudget,
    Transaction,
    TransactionFailed,
)
from relay.admin import migrate
from tests.coordinator.database import engine_on
from tests.coordinator.orders import DONE_ONCE, KEY, done, make_orders, pay
from tests.coordinator.shells import Shell
from tests.support.proxy import TcpProxy
from tests.support.wait import until

FAST = RetryBudget(attempts_max=3, wait_max_s=0.01)


class Pays:
    """A function that meets something in each attempt before it pays."""

    def __init__(self, meets: Callable[[Transaction, int], object]) -> None:
        self.meets = meets
        self.attempts = 0

    def __call__(self, tx: Transaction) -> None:
        self.attempts += 1
        self.meets(tx, self.attempts)
        pay(tx, 7, amount="1")


def test_a_serialisation_failure_is_tried_again(orders: Engine, shell: Shell) -> None:
    def overtaken(tx: Transaction, attempt: int) -> None:
        tx.session.execute(text("select * from orders"))
        if attempt == 1:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(overtake).result()

    def overtake() -> None:
        with orders.begin() as connection:
            connection.execute(text("update orders set status = 'seen'"))

    function = Pays(overtaken)
    repeatable = orders.execution_options(isolation_level="REPEATABLE READ")
    outcome = shell(repeatable).run(function, key=KEY)
    assert (function.attempts, outcome.replayed) == (2, False)
    assert done(orders) == DONE_ONCE


def test_a_deadlock_is_tried_again(orders: Engine, shell: Shell) -> None:
    others: list[Any] = []

    def meets(tx: Transaction, attempt: int) -> None:
        # The shortest wait in the server makes this side the victim.
        tx.session.execute(text("set local deadlock_timeout = '10ms'"))
        tx.session.execute(text("update orders set status = 'ours'"))
        if attempt == 1:
            others.append(pool.submit(the_other_side))
            until(lambda: waits_for_us(tx), what="the other side to wait for us")
        tx.session.execute(text("lock table ledger"))

    def the_other_side() -> None:
        with orders.begin() as connection:
            connection.execute(text("set local deadlock_timeout = '60s'"))
            connection.execute(text("lock table ledger"))
            connection.execute(text("update orders set status = 'theirs'"))

    def waits_for_us(tx: Transaction) -> bool:
        return bool(tx.session.scalar(text("select count(*) from pg_locks where not granted")))

    function = Pays(meets)
    with ThreadPoolExecutor(1) as pool:
        shell(orders).run(function, key=KEY)
        others[0].result()
    assert function.attempts == 2
    assert done(orders) == DONE_ONCE


def test_a_connection_that_is_lost_before_the_commit_is_replaced(
    orders: Engine, shell: Shell
) -> None:
    def loses(tx: Transaction, attempt: int) -> None:
        if attempt == 1:
            tx.session.execute(text("select pg_terminate_backend(pg_backend_pid())"))

    function = Pays(loses)
    shell(orders).run(function, key=KEY)
    assert function.attempts == 2
    assert done(orders) == DONE_ONCE


def test_each_attempt_emits_under_the_same_ids(orders: Engine, shell: Shell) -> None:
    ids: list[Any] = []

    def emits(tx: Transaction) -> None:
        pay(tx, 7, amount="1")
        ids.append([event.id for event in tx.events])
        if len(ids) == 1:
            tx.session.execute(text("do $$begin raise sqlstate '40001'; end$$"))

    outcome = shell(orders, budget=FAST).run(emits, key=KEY)
    assert ids[0] == ids[1] == list(outcome.event_ids)


def test_the_budget_ends_and_the_last_error_is_the_cause(orders: Engine, shell: Shell) -> None:
    def always(tx: Transaction, _: int) -> None:
        tx.session.execute(text("do $$begin raise sqlstate '40001'; end$$"))

    function = Pays(always)
    with pytest.raises(TransactionFailed):
        shell(orders, budget=FAST).run(function, key=KEY)
    assert function.attempts == 3
    assert done(orders) == {}


@pytest.mark.parametrize("error", [ValueError("mine"), ConnectionError("mine"), TimeoutError()])
def test_a_users_own_error_is_not_tried_again(
    orders: Engine, shell: Shell, error: Exception
) -> None:
    def raises(_: Transaction, __: int) -> None:
        raise error

    function = Pays(raises)
    with pytest.raises(TransactionFailed) as failed:
        shell(orders, budget=FAST).run(function, key=KEY)
    assert function.attempts == 1
    assert failed.value.cause is error


def test_a_statement_that_is_wrong_is_not_tried_again(orders: Engine, shell: Shell) -> None:
    function = Pays(lambda tx, _: tx.session.execute(text("select 1 / 0")))
    with pytest.raises(TransactionFailed):
        shell(orders, budget=FAST).run(function, key=KEY)
    assert function.attempts == 1


class Lost:
    """A server behind a proxy, and a function whose effect outside is counted."""

    def __init__(self, server: Any, proxy: TcpProxy, engine: Engine) -> None:
        self.server, self.proxy, self.engine = server, proxy, engine
        self.effects = self.undone = 0

    def charge(self, tx: Transaction) -> None:
        def act(_: object) -> None:
            self.effects += 1

        def undo(_: DomainResult) -> None:
            self.undone += 1

        tx.operation("card", act, undo=undo)
        pay(tx, 7, amount="1")


@pytest.fixture
def lost(own_postgres: Callable[..., Any]) -> Iterator[Lost]:
    server = own_postgres()
    migrate.upgrade(server.url())
    with engine_on(server.url()) as direct:
        make_orders(direct)
    with (
        TcpProxy("127.0.0.1", server.port) as proxy,
        engine_on(server.url(port=proxy.port)) as engine,
    ):
        yield Lost(server, proxy, engine)


def test_a_commit_whose_reply_was_lost_is_found_and_not_done_again(
    lost: Lost, shell: Shell, armed_failpoints: ModuleType
) -> None:
    armed_failpoints.arm(
        "coordinator.before_commit",
        lambda: lost.proxy.cut_after_client_sends(b"COMMIT", drop_reply=True),
    )
    outcome = shell(lost.engine).run(lost.charge, key=KEY)
    assert lost.proxy.tripped.is_set()
    assert (lost.effects, lost.undone, outcome.replayed) == (1, 0, False)
    assert done(lost.engine) == DONE_ONCE


def test_a_commit_that_did_not_happen_is_undone_and_done_again(
    lost: Lost, shell: Shell, armed_failpoints: ModuleType
) -> None:
    armed_failpoints.arm("coordinator.before_commit", lost.proxy.cut)
    outcome = shell(lost.engine).run(lost.charge, key=KEY)
    assert (lost.effects, lost.undone, outcome.replayed) == (2, 1, False)
    assert done(lost.engine) == DONE_ONCE


def test_an_outcome_that_stays_unknown_is_found_out_by_the_same_call(
    lost: Lost, shell: Shell, armed_failpoints: ModuleType
) -> None:
    armed_failpoints.arm("coordinator.before_commit", lost.proxy.close)
    with pytest.raises(CommitOutcomeUnknown):
        shell(lost.engine, budget=RetryBudget(attempts_max=2, total_s=1)).run(lost.charge, key=KEY)
    assert lost.undone == 0
    with engine_on(lost.server.url()) as direct:
        shell(direct).run(lost.charge, key=KEY)
        assert done(direct) == DONE_ONCE


def test_an_error_of_another_kind_of_database_is_the_users_own(orders: Engine) -> None:
    another = create_engine("sqlite://")

    def asks(_: Transaction, __: int) -> None:
        with another.connect() as connection:
            connection.execute(text("select * from nowhere"))

    function = Pays(asks)
    with pytest.raises(TransactionFailed):
        Coordinator(orders, budget=FAST).run(function, key=KEY)
    assert function.attempts == 1
