"""An engine on a fresh database, and the shipped coordinator on it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import Engine
from sqlalchemy.util import greenlet_spawn

from coordinator import RunCompletionTransaction, create_transaction_coordinator, failpoints
from tests.coordinator.database import engine_on
from tests.coordinator.loops import OnALoop, runner_on
from tests.coordinator.orders import make_orders
from tests.coordinator.outside_world import World
from tests.coordinator.shells import SHELLS, Awaiting, Shell
from tests.support.postgres import Postgres


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on a fresh, migrated database."""
    with engine_on(database_url, pool_size=20) as made:
        yield made


@pytest.fixture(scope="module")
def untouched_engine(postgres: Postgres, migrated_template: str) -> Iterator[Engine]:
    """An engine on one database for tests that leave nothing behind: a tenth of the time."""
    with postgres.database(migrated_template) as name, engine_on(postgres.url(name)) as made:
        yield made


@pytest.fixture
def coordinator(engine: Engine) -> RunCompletionTransaction:
    """The coordinator that a user gets."""
    return create_transaction_coordinator(engine=engine)


@pytest.fixture
def armed_failpoints() -> Iterator[ModuleType]:
    """The failpoints' module; nothing stays armed."""
    yield failpoints
    failpoints.disarm()


@pytest.fixture
def orders(engine: Engine) -> Engine:
    """The engine, with a stranger's tables: order 7 is open."""
    return make_orders(engine)


@pytest.fixture(params=SHELLS.values(), ids=list(SHELLS))
def shell(request: pytest.FixtureRequest) -> Shell:
    """Makes coordinators: the test runs once with each kind."""
    made: Shell = request.param
    return made


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run the body of a test of an asynchronous shell where its sessions can await."""
    if not isinstance(pyfuncitem.funcargs.get("shell"), Awaiting):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    asyncio.run(greenlet_spawn(partial(pyfuncitem.obj, **arguments)))
    return True


@pytest.fixture
def driver() -> str:
    """Of an AsyncEngine; a test that shows something of the driver runs `on_each_driver`."""
    return "psycopg"


@pytest.fixture
def on_a_loop(database_url: str, driver: str) -> OnALoop:
    """Runs a coroutine function on an event loop, with an AsyncEngine."""
    return runner_on(database_url, driver)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world outside the database, with nothing booked."""
    return World(tmp_path)
