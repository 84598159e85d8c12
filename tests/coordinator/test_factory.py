"""One coordinator a process, or as many as are wanted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from coordinator import (
    NotConfigured,
    OutboxEvent,
    create_transaction_coordinator,
    get_transaction_coordinator,
    set_transaction_coordinator,
)
from tests.coordinator.database import written


@pytest.fixture(autouse=True)
def no_coordinator_stays() -> Iterator[None]:
    set_transaction_coordinator(None)
    yield
    set_transaction_coordinator(None)


def test_the_process_has_one_coordinator_also_for_threads_that_ask_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The address is looked at when a connection is needed, not before.
    monkeypatch.setenv("COORDINATOR_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda _: get_transaction_coordinator(), range(64)))
    assert len(set(map(id, got))) == 1


def test_a_coordinator_that_was_set_is_the_one_that_is_got(engine: Engine) -> None:
    mine = create_transaction_coordinator(engine=engine)
    set_transaction_coordinator(mine)
    assert get_transaction_coordinator() is mine


@pytest.mark.parametrize("prefix", ["postgresql://", "postgresql+psycopg://"])
def test_the_environment_names_the_database(
    engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    url = database_url.replace("postgresql://", prefix, 1)
    monkeypatch.setenv("COORDINATOR_DATABASE_URL", url)
    coordinator = get_transaction_coordinator()
    coordinator.execute(run_id="r1", tenant_id="t1", run_status="succeeded")
    assert written(engine)["run_completions"] == 1
    coordinator._transaction._engine.dispose()


def test_without_an_engine_and_an_environment_the_variable_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("COORDINATOR_DATABASE_URL", raising=False)
    with pytest.raises(NotConfigured, match="COORDINATOR_DATABASE_URL"):
        get_transaction_coordinator()


def test_a_publisher_of_ones_own_takes_the_events_instead_of_the_outbox(engine: Engine) -> None:
    class Collects:
        def __init__(self) -> None:
            self.types: list[str] = []

        def add_all(self, session: Session, events: Iterable[OutboxEvent]) -> None:
            assert session.in_transaction()
            self.types += [event.type for event in events]

    publisher = Collects()
    create_transaction_coordinator(publisher, engine=engine).execute(
        run_id="r1", tenant_id="t1", run_status="succeeded"
    )
    assert publisher.types == ["run.completed", "policy.evaluated"]
    assert "event" not in written(engine)


def test_importing_every_public_name_needs_nothing_that_the_relay_alone_needs() -> None:
    program = (
        "import sys, coordinator\n"
        "assert 'sqlalchemy' not in sys.modules, 'names load when they are used'\n"
        "for name in coordinator.__all__: getattr(coordinator, name)\n"
        "heavy = 'relay confluent_kafka click alembic pydantic structlog rich'.split()\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout == "[]\n"


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    import coordinator

    with pytest.raises(AttributeError, match="nonsense"):
        _ = coordinator.nonsense
    assert "RunCompletionTransaction" in dir(coordinator)
