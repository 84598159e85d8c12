"""tx.outside and its connections: lost ones, few ones, and a commit whose reply was lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import Engine, text

from coordinator import (
    CommitOutcomeUnknown,
    Coordinator,
    RetryBudget,
    Transaction,
    TransactionFailed,
    recover,
)
from relay.admin import migrate
from tests.coordinator.database import engine_on
from tests.coordinator.orders import KEY, done, make_orders
from tests.coordinator.outside_world import World, book, book_in, left, travel
from tests.coordinator.test_outside import FAST, failure_of
from tests.coordinator.test_recover import counts
from tests.support.proxy import TcpProxy
from tests.support.wait import until


def killed_while_acting(
    orders: Engine, other: Engine, *, recovers: bool
) -> Callable[[Transaction, str], None]:
    """A function whose first action loses the transaction's connection before it acts."""
    attempts: list[str] = []

    def acts(tx: Transaction, folder: str) -> None:
        pid = tx.session.scalar(text("select pg_backend_pid()"))

        def books(folder: str, what: str, attempt: str) -> str:
            if attempt not in attempts[:1]:
                attempts.append(attempt)
            if attempt == attempts[0]:
                terminate(other, pid)
                if recovers:
                    assert counts(recover(other)) == (1, 0, 0, 0)
            return book(folder, what, attempt)

        book_in(tx, folder, "flight", books)

    return acts


def terminate(other: Engine, pid: int | None) -> None:
    """End a backend, and wait until it is gone and its locks with it."""
    with other.connect() as connection:
        asked = connection.scalar(text("select pg_terminate_backend(:pid, 30000)"), {"pid": pid})
    assert asked


def scalar(engine: Engine, query: str) -> Any:
    with engine.connect() as connection:
        return connection.scalar(text(query))


@pytest.fixture
def other(orders: Engine, database_url: str) -> Iterator[Engine]:
    """The engine of another process."""
    with engine_on(database_url) as made:
        yield made


def test_an_action_whose_transaction_is_lost_meanwhile_is_undone_and_done_again(
    orders: Engine, other: Engine, world: World
) -> None:
    function = killed_while_acting(orders, other, recovers=False)
    Coordinator(orders, budget=FAST).run(function, world.folder, key=KEY)
    assert world.journal == ["book flight", "cancel flight", "book flight"]
    assert len(world.bookings) == 1


def test_an_undo_that_came_before_its_action_runs_again(
    orders: Engine, other: Engine, world: World
) -> None:
    """`recover` found the lock free, as the connection was lost, while the action was still on."""
    function = killed_while_acting(orders, other, recovers=True)
    Coordinator(orders, budget=FAST).run(function, world.folder, key=KEY)
    assert world.journal == ["cancel flight", "book flight", "cancel flight", "book flight"]
    assert len(world.bookings) == 1


def test_it_runs_again_where_the_action_itself_failed_too(
    orders: Engine, other: Engine, world: World
) -> None:
    def acts(tx: Transaction) -> None:
        pid = tx.session.scalar(text("select pg_backend_pid()"))

        def books(folder: str, what: str, attempt: str) -> str:
            terminate(other, pid)
            recover(other)
            book(folder, what, attempt)
            raise KeyError

        book_in(tx, world.folder, "flight", books)

    failure_of(orders, acts)
    assert world.journal == ["cancel flight", "book flight", "cancel flight"]


def test_several_threads_with_one_connection_do_not_wait_for_each_other(
    database_url: str, orders: Engine, world: World
) -> None:
    with (
        engine_on(database_url, pool_size=1, max_overflow=0, pool_timeout=60) as small,
        ThreadPoolExecutor(4) as pool,
    ):
        coordinator = Coordinator(small)
        runs = [
            pool.submit(coordinator.run, travel, world.folder, f"flight{order}", key=(order,))
            for order in range(8)
        ]
        for each in runs:
            each.result()
    assert len(world.bookings) == 8


def test_no_connection_is_left_open(database_url: str, orders: Engine, world: World) -> None:
    named = {"connect_args": {"application_name": "acts-outside"}}
    alive = "select count(*) from pg_stat_activity where application_name = 'acts-outside'"
    with engine_on(database_url, **named) as engine:
        for order in range(3):
            Coordinator(engine).run(travel, world.folder, "flight", key=(order,))
        until(lambda: scalar(orders, alive) == 1, what="the connections beside to be gone")
    until(lambda: scalar(orders, alive) == 0, what="the engine's own to be gone")


def test_an_intent_is_durable_where_commits_are_asynchronous(
    world: World, own_postgres: Callable[..., Any]
) -> None:
    seldom = {"synchronous_commit": "off", "wal_writer_delay": "10s"}
    server = own_postgres(**seldom)
    migrate.upgrade(server.url())

    def crashes(folder: str, what: str, attempt: str) -> str:
        name = book(folder, what, attempt)
        server.stop_immediate()
        return name

    def acts(tx: Transaction) -> None:
        book_in(tx, world.folder, "flight", crashes)

    with engine_on(server.url()) as engine:
        budget = RetryBudget(attempts_max=1, total_s=1, wait_max_s=0.01)
        with pytest.raises(TransactionFailed):
            Coordinator(engine, budget=budget).run(acts, key=KEY)
    server.start()
    with engine_on(server.url()) as engine:
        assert counts(recover(engine)) == (1, 0, 0, 0)
    assert world.bookings == []


class Lost:
    """A server behind a proxy."""

    def __init__(self, server: Any, proxy: TcpProxy, engine: Engine, direct: Engine) -> None:
        self.server, self.proxy, self.engine, self.direct = server, proxy, engine, direct


@pytest.fixture
def lost(own_postgres: Callable[..., Any]) -> Iterator[Lost]:
    server = own_postgres()
    migrate.upgrade(server.url())
    with (
        TcpProxy("127.0.0.1", server.port) as proxy,
        engine_on(server.url(port=proxy.port)) as engine,
        engine_on(server.url()) as direct,
    ):
        make_orders(direct)
        yield Lost(server, proxy, engine, direct)


def test_a_commit_whose_reply_was_lost_keeps_its_effect(
    lost: Lost, world: World, armed_failpoints: ModuleType
) -> None:
    armed_failpoints.arm(
        "coordinator.before_commit", lambda: lost.proxy.cut_after_client_sends(b"COMMIT")
    )
    Coordinator(lost.engine).run(travel, world.folder, "flight", key=KEY)
    assert lost.proxy.tripped.is_set()
    recover(lost.direct)
    assert world.journal == ["book flight"]
    assert left(lost.direct) == 0


def test_a_commit_that_did_not_happen_is_undone_and_done_again(
    lost: Lost, world: World, armed_failpoints: ModuleType
) -> None:
    armed_failpoints.arm("coordinator.before_commit", lost.proxy.cut)
    Coordinator(lost.engine).run(travel, world.folder, "flight", key=KEY)
    assert world.journal == ["book flight", "cancel flight", "book flight"]


@pytest.mark.parametrize("happened", [True, False])
def test_recover_resolves_a_commit_that_stayed_unknown(
    lost: Lost, world: World, armed_failpoints: ModuleType, happened: bool
) -> None:
    def cut_for_ever() -> None:
        if happened:
            lost.proxy.cut_after_client_sends(b"COMMIT")
            lost.proxy.refuse_new()
        else:
            lost.proxy.close()

    armed_failpoints.arm("coordinator.before_commit", cut_for_ever)
    with pytest.raises(CommitOutcomeUnknown):
        Coordinator(lost.engine, budget=RetryBudget(attempts_max=2, total_s=1)).run(
            travel, world.folder, "flight", key=KEY
        )
    recover(lost.direct)
    assert len(world.bookings) == done(lost.direct).get("transaction_records", 0) == happened


def test_where_the_database_stays_away_the_undo_is_left_to_recover(
    lost: Lost, world: World
) -> None:
    def acts(tx: Transaction) -> None:
        book_in(tx, world.folder, "flight")
        lost.proxy.close()

    with pytest.raises(TransactionFailed) as failed:
        Coordinator(lost.engine, budget=RetryBudget(attempts_max=1)).run(acts, key=KEY)
    (ack,) = failed.value.acks
    assert not ack.action_succeeded
    assert "left to recover()" in str(ack.action_error)
    assert counts(recover(lost.direct)) == (1, 0, 0, 0)
    assert world.journal == ["book flight", "cancel flight"]


def test_an_undo_whose_record_is_lost_runs_once_more_in_recover(
    lost: Lost, world: World, armed_failpoints: ModuleType
) -> None:
    armed_failpoints.arm("outside.undone", lost.proxy.close)

    def acts(tx: Transaction) -> None:
        book_in(tx, world.folder, "flight")
        raise KeyError

    (ack,) = failure_of(lost.engine, acts).acks
    assert ack.action_succeeded
    assert counts(recover(lost.direct)) == (1, 0, 0, 0)
    assert world.journal == ["book flight", "cancel flight", "cancel flight"]


def test_a_record_that_is_lost_once_is_written_without_a_second_undo(
    lost: Lost, world: World, armed_failpoints: ModuleType
) -> None:
    armed_failpoints.arm("outside.undone", lost.proxy.cut)

    def acts(tx: Transaction) -> None:
        book_in(tx, world.folder, "flight")
        raise KeyError

    (ack,) = failure_of(lost.engine, acts).acks
    assert ack.action_succeeded
    assert left(lost.direct) == 0
    assert world.journal == ["book flight", "cancel flight"]
