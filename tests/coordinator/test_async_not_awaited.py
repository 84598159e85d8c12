"""What a coroutine forgets to await is not recorded as done."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from coordinator import (
    AsyncCoordinator,
    AsyncTransaction,
    TransactionFailed,
)
from tests.coordinator.loops import OnALoop, on_each_driver
from tests.coordinator.orders import KEY, done


@on_each_driver
def test_an_operation_that_was_never_awaited_is_not_recorded_as_done(
    orders: Engine, on_a_loop: OnALoop
) -> None:
    async def forgets(tx: AsyncTransaction) -> None:
        forgotten.append(tx.operation("order", lambda _: None))  # type: ignore[arg-type, return-value]  # never called

    forgotten: list[Any] = []

    async def run(engine: AsyncEngine) -> None:
        with pytest.raises(TransactionFailed) as failed:
            await AsyncCoordinator(engine).run(forgets, key=KEY)
        assert "not awaited to the end: 'order'" in str(failed.value.cause)

    on_a_loop(run)
    for coroutine in forgotten:
        coroutine.close()
    assert done(orders) == {}


@on_each_driver
def test_an_operation_that_is_still_at_work_is_not_recorded_as_done(
    orders: Engine, on_a_loop: OnALoop
) -> None:
    async def half(session: AsyncSession) -> None:
        await session.execute(text("insert into ledger values ('1')"))
        await asyncio.sleep(30)

    async def leaves(tx: AsyncTransaction) -> None:
        tasks.append(asyncio.create_task(tx.operation("transfer", half)))
        await asyncio.sleep(0.2)

    tasks: list[asyncio.Task[Any]] = []

    async def run(engine: AsyncEngine) -> None:
        with pytest.raises(TransactionFailed):
            await AsyncCoordinator(engine).run(leaves, key=KEY)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    on_a_loop(run)
    assert done(orders) == {}
