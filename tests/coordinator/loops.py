"""An AsyncEngine, and an event loop for its life: what a test of coroutines runs on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tests.coordinator.flavours import with_driver

Body: TypeAlias = Callable[[AsyncEngine], Awaitable[None]]
OnALoop: TypeAlias = Callable[[Body], None]

on_each_driver = pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])


@asynccontextmanager
async def async_engine_on(url: str, driver: str, **options: object) -> AsyncIterator[AsyncEngine]:
    """An engine on the database `url`; at the end each connection is back in its pool."""
    engine = create_async_engine(with_driver(url, driver), **options)
    try:
        yield engine
        assert engine.pool.checkedout() == 0, "a connection is not back"  # type: ignore[attr-defined]  # a queue's
    finally:
        await engine.dispose()


def runner_on(url: str, driver: str) -> OnALoop:
    """Runs a coroutine function on a loop and engine of its own."""

    async def run(body: Body) -> None:
        async with async_engine_on(url, driver) as engine:
            await body(engine)

    return lambda body: asyncio.run(run(body))


async def until_async(condition: Callable[[], bool], *, what: str) -> None:
    """Ask `condition` until it is true, while the loop goes on.

    Raises:
        TimeoutError: not within 30 s; its note says `what`.
    """
    try:
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.02)
    except TimeoutError as error:
        error.add_note(f"waited 30 s for {what}")
        raise
