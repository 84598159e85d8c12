"""What the asynchronous drivers say, as the engine has to read it: psycopg and asyncpg.

The cases that both shells share (races, killed backends, lost replies of a commit) run on each
driver in `test_coordinator_retry`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from coordinator import AsyncCoordinator, AsyncTransaction, RetryBudget, TransactionFailed
from coordinator.transient import is_transient
from relay.admin import migrate
from tests.coordinator.loops import OnALoop, async_engine_on, on_each_driver
from tests.coordinator.orders import KEY

FAST = RetryBudget(attempts_max=3, wait_max_s=0.01)


@on_each_driver
def test_a_server_that_comes_back_within_the_budget_is_waited_for(
    own_postgres: Callable[..., Any], driver: str
) -> None:
    server = own_postgres()
    migrate.upgrade(server.url())
    attempts: list[int] = []

    async def stops_it(tx: AsyncTransaction) -> None:
        attempts.append(1)
        if len(attempts) == 1:
            server.stop_immediate()
            restarting.append(pool.submit(server.start))
        await tx.session.execute(text("select 1"))

    async def run() -> None:
        async with async_engine_on(server.url(), driver) as engine:
            assert not (await AsyncCoordinator(engine).run(stops_it, key=KEY)).replayed

    restarting: list[Any] = []
    with ThreadPoolExecutor(1) as pool:
        asyncio.run(run())
        restarting[0].result()
    assert len(attempts) == 2


@on_each_driver
def test_a_server_that_stays_away_is_a_transient_failure(
    own_postgres: Callable[..., Any], driver: str
) -> None:
    server = own_postgres()
    server.stop_immediate()

    async def nothing(_: AsyncTransaction) -> None: ...

    async def run() -> None:
        async with async_engine_on(server.url(), driver) as engine:
            with pytest.raises(TransactionFailed) as failed:
                await AsyncCoordinator(engine, budget=FAST).run(nothing, key=KEY)
            assert is_transient(failed.value)

    asyncio.run(run())


async def too_few_arguments(session: AsyncSession) -> None:
    await (await session.connection()).exec_driver_sql("select $1::text, $2::text", ("one",))


@on_each_driver
@pytest.mark.parametrize(
    "deed",
    [
        too_few_arguments,
        lambda session: session.execute(text("select 1 / 0")),
    ],
    ids=["too few arguments", "a wrong statement"],
)
def test_an_error_of_the_callers_is_not_tried_again(
    orders: Engine, on_a_loop: OnALoop, deed: Callable[[Any], Any]
) -> None:
    attempts: list[int] = []

    async def wrong(tx: AsyncTransaction) -> None:
        attempts.append(1)
        await deed(tx.session)

    async def run(engine: AsyncEngine) -> None:
        with pytest.raises(TransactionFailed):
            await AsyncCoordinator(engine, budget=FAST).run(wrong, key=KEY)

    on_a_loop(run)
    assert attempts == [1]
