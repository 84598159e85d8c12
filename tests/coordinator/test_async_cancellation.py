"""Cancellation, by a client that went away or a timeout: all or nothing, undone, nothing leaks.

That each connection is back in its pool is asserted by `loops` at the end of each test.
"""

from __future__ import annotations

import asyncio
from contextlib import closing, suppress
from types import ModuleType

import anyio
import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from coordinator import (
    AsyncCoordinator,
    AsyncTransaction,
    DomainResult,
    OutboxEvent,
    RetryBudget,
    TransactionFailed,
    WrongUse,
)
from coordinator.engine.claims import transaction_acks
from tests.coordinator.database import count
from tests.coordinator.loops import OnALoop, async_engine_on, on_each_driver, until_async
from tests.coordinator.orders import DONE_ONCE, KEY, done
from tests.coordinator.test_repeat import waiting_for_a_lock

BOOK = text("insert into ledger values ('1')")
SLEEP = text("select pg_sleep(60)")


class Waits:
    """A function that writes, charges a card, and then waits: its first call without an end."""

    def __init__(self, *, in_the_database: bool = False, undo_yields: int = 0) -> None:
        self.in_the_database = in_the_database
        self.undo_yields = undo_yields
        self.waiting, self.undoing = asyncio.Event(), asyncio.Event()
        self.undone = 0

    async def __call__(self, tx: AsyncTransaction) -> None:
        await tx.session.execute(BOOK)
        await tx.operation("card", self.charge, undo=self.undo)
        tx.emit(OutboxEvent(topic="t", key="k", type="x", payload=b""))
        if not self.waiting.is_set():
            self.waiting.set()
            await (tx.session.execute(SLEEP) if self.in_the_database else asyncio.Event().wait())

    async def charge(self, _: AsyncSession) -> None: ...

    async def undo(self, _: DomainResult) -> None:
        self.undoing.set()
        for _turn in range(self.undo_yields):
            await asyncio.sleep(0)
        self.undone += 1


async def cancelled(task: asyncio.Task[object]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@on_each_driver
@pytest.mark.parametrize("in_the_database", [False, True], ids=["elsewhere", "in a statement"])
def test_a_function_that_is_cancelled_is_rolled_back_and_undone_and_its_key_is_free(
    orders: Engine, on_a_loop: OnALoop, in_the_database: bool
) -> None:
    async def run(engine: AsyncEngine) -> None:
        coordinator = AsyncCoordinator(engine)
        function = Waits(in_the_database=in_the_database)
        task = asyncio.create_task(coordinator.run(function, key=KEY))
        await function.waiting.wait()
        await cancelled(task)
        assert function.undone == 1
        assert done(orders) == {}
        assert count(orders, transaction_acks) == 1
        # Of the server too: it would make this one wait for the sleeper.
        async with asyncio.timeout(30):
            assert not (await coordinator.run(function, key=KEY)).replayed

    on_a_loop(run)
    assert done(orders) == DONE_ONCE


def test_a_timeout_around_the_call_is_a_timeout_and_no_cancellation_is_left(
    orders: Engine, on_a_loop: OnALoop
) -> None:
    async def run(engine: AsyncEngine) -> None:
        function = Waits()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await AsyncCoordinator(engine).run(function, key=KEY)
        assert function.undone == 1
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0)

    on_a_loop(run)
    assert done(orders) == {}


def test_an_undo_runs_to_its_end_though_the_task_is_cancelled_again_and_again(
    orders: Engine, on_a_loop: OnALoop
) -> None:
    async def run(engine: AsyncEngine) -> None:
        function = Waits(undo_yields=50)
        task = asyncio.create_task(AsyncCoordinator(engine).run(function, key=KEY))
        await function.waiting.wait()
        task.cancel()
        await function.undoing.wait()
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
        assert task.cancelled()
        assert function.undone == 1

    on_a_loop(run)
    assert count(orders, transaction_acks) == 1


@on_each_driver
def test_the_connection_goes_back_healthy_though_the_task_is_cancelled_again_and_again(
    orders: Engine, on_a_loop: OnALoop
) -> None:
    async def run(engine: AsyncEngine) -> None:
        waiting = asyncio.Event()

        async def writes_and_waits(tx: AsyncTransaction) -> None:
            await tx.session.execute(BOOK)
            waiting.set()
            await asyncio.Event().wait()

        before = await backend_of(engine)
        task = asyncio.create_task(AsyncCoordinator(engine).run(writes_and_waits, key=KEY))
        await waiting.wait()
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
        assert await backend_of(engine) == before

    on_a_loop(run)


async def backend_of(engine: AsyncEngine) -> object:
    """Which backend a connection of the pool has: another one where the first was thrown away."""
    async with engine.connect() as connection:
        return await connection.scalar(text("select pg_backend_pid()"))


@on_each_driver
def test_a_cancellation_at_the_commit_waits_for_it_and_the_same_call_finds_the_outcome(
    orders: Engine, on_a_loop: OnALoop, armed_failpoints: ModuleType
) -> None:
    async def run(engine: AsyncEngine) -> None:
        coordinator = AsyncCoordinator(engine)
        function = Waits()
        function.waiting.set()
        task = asyncio.create_task(coordinator.run(function, key=KEY))
        armed_failpoints.arm("coordinator.before_commit", task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done(orders) == DONE_ONCE
        assert function.undone == 0
        repeat = await coordinator.run(function, key=KEY)
        assert repeat.replayed

    on_a_loop(run)
    assert done(orders) == DONE_ONCE


def at_the_commit(orders: Engine, statement: str) -> None:
    """Let the server run `statement` in each COMMIT of a transaction that writes to the ledger."""
    body = f"begin {statement} return null; end"
    with orders.begin() as connection:
        connection.execute(
            text(f"create function at_the_commit() returns trigger language plpgsql as $${body}$$")
        )
        connection.execute(
            text(
                "create constraint trigger at_the_commit after insert on ledger "
                "deferrable initially deferred for each row execute function at_the_commit()"
            )
        )


@on_each_driver
def test_a_cancellation_during_a_long_commit_does_not_reach_the_server(
    orders: Engine, on_a_loop: OnALoop, armed_failpoints: ModuleType
) -> None:
    at_the_commit(orders, "perform pg_sleep(1);")

    async def run(engine: AsyncEngine) -> None:
        function = Waits()
        function.waiting.set()
        task = asyncio.create_task(AsyncCoordinator(engine).run(function, key=KEY))
        soon = asyncio.get_running_loop().call_later
        armed_failpoints.arm("coordinator.before_commit", lambda: soon(0.3, task.cancel))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert function.undone == 0

    on_a_loop(run)
    assert done(orders) == DONE_ONCE


def test_a_scope_of_anyio_does_not_keep_the_loop_busy_while_a_commit_is_waited_for(
    orders: Engine, on_a_loop: OnALoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_the_commit(orders, "perform pg_sleep(1);")
    waits: list[object] = []
    wait = asyncio.wait

    def counted(tasks: list[asyncio.Task[object]]) -> object:
        waits.append(tasks)
        return wait(tasks)

    async def run(engine: AsyncEngine) -> None:
        function = Waits()
        function.waiting.set()
        with anyio.move_on_after(0.3) as scope:
            await AsyncCoordinator(engine).run(function, key=KEY)
        assert scope.cancelled_caught

    monkeypatch.setattr(asyncio, "wait", counted)
    on_a_loop(run)
    assert done(orders) == DONE_ONCE
    assert len(waits) < 20


class Interrupts(Waits):
    """A function whose hook is interrupted at the commit, as by Ctrl-C."""

    async def __call__(self, tx: AsyncTransaction) -> None:
        self.waiting.set()
        event.listen(tx.session.sync_session, "before_commit", self._interrupt, once=True)
        await super().__call__(tx)

    def _interrupt(self, _: object) -> None:
        raise KeyboardInterrupt


@on_each_driver
def test_an_interrupt_at_the_commit_is_undone_before_it_ends_the_loop(
    orders: Engine, database_url: str, driver: str
) -> None:
    function = Interrupts()

    async def run() -> None:
        async with async_engine_on(database_url, driver) as engine:
            await AsyncCoordinator(engine).run(function, key=KEY)

    loop = asyncio.new_event_loop()
    with closing(loop), pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(run())
    assert function.undone == 1
    assert done(orders) == {}


@on_each_driver
def test_a_commit_that_fails_is_undone_though_the_task_was_cancelled_meanwhile(
    orders: Engine, on_a_loop: OnALoop, armed_failpoints: ModuleType
) -> None:
    at_the_commit(orders, "raise 'refused';")

    async def run(engine: AsyncEngine) -> None:
        function = Waits()
        function.waiting.set()
        task = asyncio.create_task(AsyncCoordinator(engine).run(function, key=KEY))
        armed_failpoints.arm("coordinator.before_commit", task.cancel)
        with pytest.raises((asyncio.CancelledError, TransactionFailed)):
            await task
        assert function.undone == 1

    on_a_loop(run)
    assert done(orders) == {}
    assert count(orders, transaction_acks) == 1


def test_a_scope_of_anyio_that_is_cancelled_sees_its_own_cancellation(
    orders: Engine, on_a_loop: OnALoop, armed_failpoints: ModuleType
) -> None:
    """As Starlette's: it cancels anew in each turn of the loop, until the task has left it."""

    async def run(engine: AsyncEngine) -> None:
        function = Waits()
        function.waiting.set()
        with anyio.CancelScope() as scope:
            armed_failpoints.arm("coordinator.before_commit", scope.cancel)
            await AsyncCoordinator(engine).run(function, key=KEY)
        assert scope.cancelled_caught
        assert (await AsyncCoordinator(engine).run(function, key=KEY)).replayed

    on_a_loop(run)
    assert done(orders) == DONE_ONCE


def test_a_timeout_that_ends_during_the_commit_is_a_timeout(
    orders: Engine, on_a_loop: OnALoop, armed_failpoints: ModuleType
) -> None:
    async def run(engine: AsyncEngine) -> None:
        function = Waits()
        function.waiting.set()
        timeout = asyncio.timeout(None)
        now = asyncio.get_running_loop().time()
        armed_failpoints.arm("coordinator.before_commit", lambda: timeout.reschedule(now))
        with pytest.raises(TimeoutError):
            async with timeout:
                await AsyncCoordinator(engine).run(function, key=KEY)

    on_a_loop(run)
    assert done(orders) == DONE_ONCE


def test_a_caller_that_waits_for_another_one_can_be_cancelled(
    orders: Engine, on_a_loop: OnALoop
) -> None:
    async def run(engine: AsyncEngine) -> None:
        coordinator = AsyncCoordinator(engine)
        async with AsyncSession(engine) as session, session.begin():
            async with coordinator.join(session, key=KEY):
                await session.execute(BOOK)
            task = asyncio.create_task(coordinator.run(Waits(), key=KEY))
            await until_async(lambda: waiting_for_a_lock(orders), what="it to wait for the key")
            await cancelled(task)

    on_a_loop(run)
    assert done(orders)["ledger"] == 1


def test_the_pause_before_a_retry_leaves_the_loop_to_others_and_can_be_cancelled(
    orders: Engine, on_a_loop: OnALoop
) -> None:
    async def run(engine: AsyncEngine) -> None:
        attempted = asyncio.Event()

        async def loses(tx: AsyncTransaction) -> None:
            attempted.set()
            await tx.session.execute(text("do $$begin raise sqlstate '40001'; end$$"))

        budget = RetryBudget(attempts_max=1_000, total_s=100, wait_first_s=50, wait_max_s=100)
        task = asyncio.create_task(AsyncCoordinator(engine, budget=budget).run(loses, key=KEY))
        await attempted.wait()
        await until_async(lambda: engine.pool.checkedout() == 0, what="the pause")  # type: ignore[attr-defined]  # a queue's
        await cancelled(task)

    on_a_loop(run)


def test_an_operation_that_a_timeout_interrupts_fails_the_whole_though_that_is_caught(
    orders: Engine, on_a_loop: OnALoop
) -> None:
    async def sleeps(_: AsyncSession) -> None:
        await asyncio.Event().wait()

    async def catches(tx: AsyncTransaction) -> None:
        await tx.session.execute(BOOK)
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                await tx.operation("mail", sleeps)

    async def run(engine: AsyncEngine) -> None:
        with pytest.raises(TransactionFailed) as failed:
            await AsyncCoordinator(engine).run(catches, key=KEY)
        assert isinstance(failed.value.cause, WrongUse)

    on_a_loop(run)
    assert done(orders) == {}


def test_a_block_that_is_cancelled_takes_the_callers_transaction_with_it(
    orders: Engine, on_a_loop: OnALoop
) -> None:
    async def joins(engine: AsyncEngine, waiting: asyncio.Event) -> None:
        async with (
            AsyncSession(engine) as session,
            session.begin(),
            AsyncCoordinator(engine).join(session, key=KEY) as tx,
        ):
            await tx.session.execute(BOOK)
            waiting.set()
            await asyncio.Event().wait()

    async def run(engine: AsyncEngine) -> None:
        waiting = asyncio.Event()
        task: asyncio.Task[object] = asyncio.create_task(joins(engine, waiting))
        await waiting.wait()
        await cancelled(task)

    on_a_loop(run)
    assert done(orders) == {}
