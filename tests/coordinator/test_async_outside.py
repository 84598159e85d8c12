"""tx.outside in a coroutine: action and undo are awaited on the caller's event loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncSession

from coordinator import AsyncCoordinator, TransactionFailed, recover, undo
from tests.coordinator.loops import OnALoop, on_each_driver
from tests.coordinator.orders import KEY
from tests.coordinator.outside_world import World, book, cancel, left


@undo("test.async_cancel")
async def async_cancel(folder: str, what: str, attempt: str) -> None:
    await asyncio.sleep(0)
    cancel(folder, what, attempt)


async def async_book(folder: str, what: str, attempt: str) -> str:
    await asyncio.sleep(0)
    return book(folder, what, attempt)


@on_each_driver
def test_an_action_is_awaited_and_settled(orders: Engine, on_a_loop: OnALoop, world: World) -> None:
    async def travel(tx: Any) -> list[str]:
        attempt = str(tx.attempt_id)
        return [await tx.outside(async_book, world.folder, "taxi", attempt, undo=async_cancel)]

    async def run(engine: Any) -> None:
        outcome = await AsyncCoordinator(engine).run(travel, key=KEY)
        assert outcome.value == world.bookings

    on_a_loop(run)
    assert left(orders) == 0


@on_each_driver
def test_an_undo_is_awaited_after_a_failure(
    orders: Engine, on_a_loop: OnALoop, world: World
) -> None:
    async def travel(tx: Any) -> None:
        attempt = str(tx.attempt_id)
        await tx.outside(async_book, world.folder, "taxi", attempt, undo=async_cancel)
        raise KeyError

    async def run(engine: Any) -> None:
        with pytest.raises(TransactionFailed) as failed:
            await AsyncCoordinator(engine).run(travel, key=KEY)
        assert [ack.action_succeeded for ack in failed.value.acks] == [True]

    on_a_loop(run)
    assert world.journal == ["book taxi", "cancel taxi"]
    assert left(orders) == 0


@on_each_driver
def test_a_joined_transaction_that_is_rolled_back_is_recovered_on_the_loop(
    orders: Engine, on_a_loop: OnALoop, world: World
) -> None:
    async def run(engine: Any) -> None:
        async with AsyncSession(engine) as session:
            async with AsyncCoordinator(engine).join(session, key=KEY) as tx:
                attempt = str(tx.attempt_id)
                await tx.outside(async_book, world.folder, "taxi", attempt, undo=async_cancel)
                assert len((await recover(engine)).running) == 1
            await session.rollback()
        found = await recover(engine)
        assert [effect.undo for effect in found.undone] == ["test.async_cancel"]

    on_a_loop(run)
    assert world.journal == ["book taxi", "cancel taxi"]
    assert left(orders) == 0
