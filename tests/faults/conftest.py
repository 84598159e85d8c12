"""Services that a test may break, and settings that a given server may not have."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from relay.admin import migrate
from relay.demo.apache_kafka import ApacheKafka
from tests.support.kafka import private_kafka
from tests.support.postgres import CrashablePostgres
from tests.support.workload import prepare_keys


@pytest.fixture
def two_phase_postgres(own_postgres: Callable[..., CrashablePostgres]) -> CrashablePostgres:
    """A private server that allows prepared transactions, ready for writers."""
    server = own_postgres(max_prepared_transactions="20")
    migrate.upgrade(server.url())
    prepare_keys(server.url())
    return server


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How often to kill: a smoke, or what `--kills` says."""
    return int(request.config.getoption("--kills"))


@pytest.fixture(scope="session")
def own_kafka() -> Iterator[ApacheKafka]:
    """A private Kafka, to suspend and to kill."""
    with private_kafka() as kafka:
        yield kafka
