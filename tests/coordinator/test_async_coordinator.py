"""What only coroutines meet: the event loop, tasks, the AsyncSession, undo that is awaited.

That a transaction is the same in both shells is shown by the other files, which run with each.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from coordinator import (
    AsyncCoordinator,
    AsyncRunCompletionTransaction,
    AsyncTransaction,
    DomainResult,
    FacadeEndedTransaction,
    KeyConflict,
    OutboxEvent,
    RollbackAction,
    RunConflict,
    TransactionFailed,
    WrongUse,
)
from coordinator.engine.claims import transaction_acks
from tests.coordinator.database import count, written
from tests.coordinator.loops import OnALoop, on_each_driver
from tests.coordinator.orders import DONE_ONCE, KEY, done, statuses


async def pay(tx: AsyncTransaction, order_id: int, *, amount: str) -> object:
    """Pays an order as a service does: two domains and one event."""

    async def set_paid(session: AsyncSession) -> DomainResult:
        await session.execute(
            text("update orders set status = 'paid' where id = :id"), {"id": order_id}
        )
        return DomainResult("order", id=str(order_id))

    async def book(session: AsyncSession) -> None:
        await session.execute(text("insert into ledger values (:amount)"), {"amount": amount})

    await tx.operation("order", set_paid)
    await tx.operation("ledger", book)
    tx.emit(OutboxEvent(topic="orders", key=str(order_id), type="order.paid", payload=b""))
    return {"order": order_id}


@on_each_driver
def test_a_transaction_and_its_repeat(orders: Engine, on_a_loop: OnALoop) -> None:
    async def twice(engine: AsyncEngine) -> None:
        coordinator = AsyncCoordinator(engine)
        first = await coordinator.run(pay, 7, amount="9.50", key=KEY)
        assert (first.value, list(first.results)) == ({"order": 7}, ["order", "ledger"])
        second = await coordinator.run(pay, 7, amount="9.50", key=KEY)
        assert (second.replayed, second.event_ids) == (True, first.event_ids)

    on_a_loop(twice)
    assert statuses(orders) == {7: "paid"}
    assert done(orders) == DONE_ONCE


@on_each_driver
def test_a_block_in_the_callers_own_transaction(orders: Engine, on_a_loop: OnALoop) -> None:
    async def joined(engine: AsyncEngine) -> None:
        coordinator = AsyncCoordinator(engine)
        for replayed in (False, True):
            async with AsyncSession(engine) as session, session.begin():
                async with coordinator.join(session, key=KEY) as tx:
                    assert tx.replayed is replayed
                    if not tx.replayed:
                        assert tx.session is session
                        tx.value = await pay(tx, 7, amount="1")
                assert tx.result.value == {"order": 7}

    on_a_loop(joined)
    assert done(orders) == DONE_ONCE


def test_many_callers_of_one_key_on_one_loop_do_it_once(orders: Engine, on_a_loop: OnALoop) -> None:
    async def together(engine: AsyncEngine) -> None:
        coordinator = AsyncCoordinator(engine)
        outcomes = await asyncio.gather(
            *(coordinator.run(pay, 7, amount="1", key=KEY) for _ in range(8))
        )
        assert sum(not outcome.replayed for outcome in outcomes) == 1

    on_a_loop(together)
    assert done(orders) == DONE_ONCE


Deed = Callable[[AsyncSession], Awaitable[object]]


async def of_its_connection(session: AsyncSession) -> None:
    await (await session.connection()).commit()


async def of_another(session: AsyncSession) -> None:
    async with AsyncSession((await session.connection()).engine) as other:
        await other.execute(text("select 1"))


async def in_a_task(session: AsyncSession) -> None:
    await asyncio.create_task(session.commit())


async def as_a_context(session: AsyncSession) -> None:
    async with session:
        pass


DEEDS: dict[str, Deed] = {
    "commit": lambda session: session.commit(),
    "rollback": lambda session: session.rollback(),
    "close": lambda session: session.close(),
    "invalidate": lambda session: session.invalidate(),
    "sql": lambda session: session.execute(text("commit")),
    "commit of its connection": of_its_connection,
    "another session": of_another,
    "commit in a task": in_a_task,
    "async with": as_a_context,
}


@pytest.mark.parametrize("deed", DEEDS.values(), ids=list(DEEDS))
@pytest.mark.parametrize("swallows", [False, True], ids=["raised", "swallowed"])
def test_a_function_that_ends_or_leaves_the_transaction_is_refused(
    orders: Engine, on_a_loop: OnALoop, deed: Deed, swallows: bool
) -> None:
    async def ends(tx: AsyncTransaction) -> None:
        await pay(tx, 7, amount="1")
        with suppress(*[FacadeEndedTransaction] if swallows else []):
            await deed(tx.session)

    async def run(engine: AsyncEngine) -> None:
        with pytest.raises(TransactionFailed) as failed:
            await AsyncCoordinator(engine).run(ends, key=KEY)
        assert isinstance(failed.value.cause, FacadeEndedTransaction)

    on_a_loop(run)
    assert done(orders) == {}


def test_an_operation_that_ends_the_transaction_is_refused_by_its_name(
    orders: Engine, on_a_loop: OnALoop
) -> None:
    async def ends(tx: AsyncTransaction) -> None:
        await tx.operation("ledger", lambda session: session.commit())

    async def run(engine: AsyncEngine) -> None:
        with pytest.raises(TransactionFailed) as failed:
            await AsyncCoordinator(engine).run(ends, key=KEY)
        assert isinstance(failed.value.cause, FacadeEndedTransaction)
        assert failed.value.cause.operation == "ledger"

    on_a_loop(run)


def test_the_refusal_names_file_and_line_of_the_call_that_was_awaited(
    orders: Engine, on_a_loop: OnALoop
) -> None:
    async def ends(tx: AsyncTransaction) -> None:
        await tx.session.commit()

    async def run(engine: AsyncEngine) -> None:
        with pytest.raises(TransactionFailed) as failed:
            await AsyncCoordinator(engine).run(ends, key=KEY)
        cause = failed.value.cause
        assert isinstance(cause, FacadeEndedTransaction)
        assert (cause.file, cause.line) == (__file__, ends.__code__.co_firstlineno + 1)

    on_a_loop(run)


def test_other_tasks_use_the_engine_while_a_function_runs(
    orders: Engine, on_a_loop: OnALoop
) -> None:
    async def run(engine: AsyncEngine) -> None:
        may_go_on = asyncio.Event()

        async def waits(tx: AsyncTransaction) -> None:
            await tx.session.execute(text("select 1"))
            await may_go_on.wait()

        running = asyncio.create_task(AsyncCoordinator(engine).run(waits, key=KEY))
        async with AsyncSession(engine) as session, session.begin():
            await session.execute(text("insert into ledger values ('other')"))
        may_go_on.set()
        await running

    on_a_loop(run)
    assert done(orders)["ledger"] == 1


def test_a_task_that_outlives_the_function_is_free_again(
    orders: Engine, on_a_loop: OnALoop
) -> None:
    async def run(engine: AsyncEngine) -> None:
        over = asyncio.Event()
        started: list[asyncio.Task[None]] = []

        async def later() -> None:
            await over.wait()
            async with AsyncSession(engine) as session, session.begin():
                await session.execute(text("insert into ledger values ('later')"))

        async def starts(_: AsyncTransaction) -> None:
            started.append(asyncio.create_task(later()))

        await AsyncCoordinator(engine).run(starts, key=KEY)
        over.set()
        await started[0]

    on_a_loop(run)
    assert done(orders)["ledger"] == 1


def test_a_session_that_a_task_kept_cannot_be_used_after_the_end(
    orders: Engine, on_a_loop: OnALoop
) -> None:
    async def run(engine: AsyncEngine) -> None:
        kept: list[AsyncSession] = []

        async def keeps(tx: AsyncTransaction) -> None:
            kept.append(tx.session)

        await AsyncCoordinator(engine).run(keeps, key=KEY)
        with pytest.raises(InvalidRequestError, match="closed"):
            await kept[0].execute(text("insert into ledger values ('lost')"))

    on_a_loop(run)
    assert "ledger" not in done(orders)


def test_a_transaction_that_is_over_hands_out_no_session_after_the_end(
    orders: Engine, on_a_loop: OnALoop
) -> None:
    async def run(engine: AsyncEngine) -> None:
        kept: list[AsyncTransaction] = []

        async def keeps(tx: AsyncTransaction) -> None:
            kept.append(tx)

        await AsyncCoordinator(engine).run(keeps, key=KEY)
        with pytest.raises(WrongUse):
            _ = kept[0].session

    on_a_loop(run)


def test_undo_functions_are_awaited_in_reverse_and_acknowledged(
    orders: Engine, on_a_loop: OnALoop
) -> None:
    undone: list[str] = []

    def plain(result: DomainResult) -> None:
        undone.append(result.domain)

    async def awaits(result: DomainResult) -> None:
        await asyncio.sleep(0)
        undone.append(result.domain)

    async def is_cancelled(result: DomainResult) -> None:
        undone.append(result.domain)
        raise asyncio.CancelledError

    async def fails(tx: AsyncTransaction) -> None:
        for name, undo in {"a": awaits, "b": plain, "c": is_cancelled}.items():
            await tx.operation(name, nothing, undo=undo)
        RollbackAction("d", "d", lambda: awaits(DomainResult("d"))).register(tx.session)
        raise ValueError("no stock")

    async def nothing(_: AsyncSession) -> None: ...

    async def run(engine: AsyncEngine) -> None:
        with pytest.raises(TransactionFailed) as failed:
            await AsyncCoordinator(engine).run(fails, key=KEY)
        assert [ack.action_succeeded for ack in failed.value.acks] == [True, False, True, True]

    on_a_loop(run)
    assert undone == ["d", "c", "b", "a"]
    assert count(orders, transaction_acks) == 4


def test_a_plain_function_is_refused_by_its_name(orders: Engine, on_a_loop: OnALoop) -> None:
    def plain(_: AsyncTransaction) -> Any: ...

    async def run(engine: AsyncEngine) -> None:
        with pytest.raises(TransactionFailed) as failed:
            await AsyncCoordinator(engine).run(plain, key=KEY)
        assert isinstance(failed.value.cause, WrongUse)
        assert "plain' must be an `async def`" in str(failed.value.cause)

    on_a_loop(run)


def test_another_callable_object_under_the_same_key_is_a_conflict(
    orders: Engine, on_a_loop: OnALoop
) -> None:
    class Ships:
        async def __call__(self, _: AsyncTransaction) -> None: ...

    class Bills(Ships): ...

    async def run(engine: AsyncEngine) -> None:
        coordinator = AsyncCoordinator(engine)
        await coordinator.run(Ships(), key=KEY)
        with pytest.raises(KeyConflict, match="function"):
            await coordinator.run(Bills(), key=KEY)

    on_a_loop(run)


@on_each_driver
def test_a_run_is_completed_and_its_repeat_known(engine: Engine, on_a_loop: OnALoop) -> None:
    run: dict[str, Any] = {"run_id": "r1", "tenant_id": "t1", "run_status": "failed"}

    async def complete(engine: AsyncEngine) -> None:
        completion = AsyncRunCompletionTransaction(engine, topic="runs")
        assert (await completion.execute(**run)).is_complete
        assert (await completion.execute(**run)).replayed
        with pytest.raises(RunConflict):
            await completion.execute(**run | {"run_status": "succeeded"})

    on_a_loop(complete)
    assert written(engine)["event"] == 3


def test_without_greenlet_the_error_names_the_extra_and_the_rest_works(orders: Engine) -> None:
    program = """
import os, sys
sys.modules["greenlet"] = None
from sqlalchemy import create_engine
from coordinator import Coordinator, CoordinatorError
from tests.coordinator.orders import KEY, pay
Coordinator(create_engine(os.environ["URL"])).run(pay, 7, amount="9.50", key=KEY)
assert "sqlalchemy.ext.asyncio" not in sys.modules
try:
    from coordinator import AsyncCoordinator
except CoordinatorError as error:
    print(error)
"""
    said = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"URL": orders.url.render_as_string(hide_password=False)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "pip install 'outbox-relay[asyncio]'" in said
    assert done(orders) == DONE_ONCE
