"""Whatever comes out of the commit but the server's refusal says nothing of its outcome."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import psycopg
import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from coordinator import Coordinator, DomainResult, Outcome, Transaction, TransactionFailed
from coordinator.session_guard import GuardedSession
from tests.coordinator.orders import DONE_ONCE, KEY, done, order_event
from tests.support.wait import until

# The commit waits in the server, until the row of another transaction is free.
SLOW_COMMIT = """
create table gate (one int primary key);
insert into gate values (1);
create function wait() returns trigger language plpgsql as
    $$ begin perform from gate for update; return null; end $$;
create constraint trigger waits after insert on ledger deferrable initially deferred
    for each row execute function wait();
"""


class TimeLimit(Exception):
    """As a worker's soft time limit is raised, by a signal handler."""


def await_waiting(url: str, count: int) -> None:
    with psycopg.connect(url, autocommit=True) as other:
        waiting = "select from pg_locks where not granted"
        until(lambda: other.execute(waiting).rowcount >= count, what=f"{count} that wait")


@pytest.fixture
def interrupt(orders: Engine, database_url: str) -> Iterator[Callable[[BaseException], None]]:
    """Raise in the main thread while it waits for the reply of COMMIT."""
    with orders.begin() as connection:
        connection.execute(text(SLOW_COMMIT))
    before = signal.getsignal(signal.SIGUSR1)

    def prepare(error: BaseException) -> None:
        def raise_it(*_: object) -> None:
            raise error

        signal.signal(signal.SIGUSR1, raise_it)
        gate = psycopg.connect(database_url)
        gate.execute("select from gate for update")

        def signal_when_it_waits() -> None:
            await_waiting(database_url, 1)
            os.kill(os.getpid(), signal.SIGUSR1)
            gate.close()

        threading.Thread(target=signal_when_it_waits).start()

    yield prepare
    signal.signal(signal.SIGUSR1, before)


class Charges:
    """Charges a card, which an undo takes back."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __call__(self, tx: Transaction) -> None:
        tx.operation("card", self.charge, undo=lambda _: self.said.append("refunded"))
        tx.session.execute(text("insert into ledger values ('9.50')"))
        order_event(tx)

    def charge(self, _: Session) -> DomainResult:
        self.said.append("charged")
        return DomainResult("card")


@pytest.mark.parametrize("error", [TimeLimit(), KeyboardInterrupt()], ids=repr)
def test_an_interrupted_commit_is_undone_only_if_it_did_not_happen(
    orders: Engine, interrupt: Callable[[BaseException], None], error: BaseException
) -> None:
    charges = Charges()
    interrupt(error)
    with suppress(TransactionFailed, KeyboardInterrupt):
        Coordinator(orders).run(charges, key=KEY)
    committed = done(orders) == DONE_ONCE
    assert charges.said == (["charged"] if committed else ["charged", "refunded"])


def divide_by_zero(orders: Engine) -> None:
    with orders.connect() as connection:
        connection.execute(text("select 1 / 0"))


@pytest.mark.parametrize("error", [TimeLimit, KeyboardInterrupt, DBAPIError])
def test_what_is_raised_after_the_commit_undoes_nothing(
    orders: Engine, error: type[BaseException]
) -> None:
    charges = Charges()

    def fail(_: Session) -> None:
        if error is DBAPIError:
            divide_by_zero(orders)
        raise error

    event.listen(GuardedSession, "after_commit", fail, once=True)
    if issubclass(error, Exception):
        assert isinstance(Coordinator(orders).run(charges, key=KEY), Outcome)
    else:
        with pytest.raises(error):
            Coordinator(orders).run(charges, key=KEY)
    assert charges.said == ["charged"]
    assert done(orders) == DONE_ONCE


def test_what_a_hook_raises_before_the_commit_rolls_back_and_undoes(orders: Engine) -> None:
    charges = Charges()

    def fail(_: Session) -> None:
        raise TimeLimit

    event.listen(GuardedSession, "before_commit", fail, once=True)
    with pytest.raises(TransactionFailed, match="TimeLimit"):
        Coordinator(orders).run(charges, key=KEY)
    assert charges.said == ["charged", "refunded"]
    assert done(orders) == {}


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_a_lost_commit_is_found_in_any_isolation(
    orders: Engine, database_url: str, isolation: str
) -> None:
    """It is looked up while it is still open in the server, and happens then."""
    with orders.begin() as connection:
        connection.execute(text(SLOW_COMMIT))
    gate = psycopg.connect(database_url)
    gate.execute("select from gate for update")

    def lose(tx: Transaction) -> None:
        tx.session.execute(text("insert into ledger values ('9.50')"))
        order_event(tx)
        driver = tx.session.connection().connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        losing.append(pool.submit(cut_in_the_commit, os.dup(driver.fileno())))

    def cut_in_the_commit(descriptor: int) -> None:
        await_waiting(database_url, 1)
        with socket.socket(fileno=descriptor) as network:
            network.shutdown(socket.SHUT_RDWR)
        await_waiting(database_url, 2)
        gate.close()

    losing: list[Future[None]] = []
    with ThreadPoolExecutor(1) as pool:
        engine = orders.execution_options(isolation_level=isolation)
        outcome = Coordinator(engine).run(lose, key=KEY)
    assert [one.result() for one in losing] == [None]
    assert not outcome.replayed
    assert done(orders) == DONE_ONCE
