"""An engine on a fresh database, and the shipped coordinator on it."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest
from sqlalchemy import Engine

from coordinator import RunCompletionTransaction, create_transaction_coordinator, failpoints
from tests.coordinator.database import engine_on
from tests.coordinator.orders import make_orders
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
