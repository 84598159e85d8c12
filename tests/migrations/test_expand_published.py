"""0006: the records that are there get a transaction id that cannot lie, and are not rewritten."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from coordinator import Coordinator, OutboxEvent, Transaction, create_transaction_coordinator
from relay.admin import migrate
from tests.coordinator.database import engine_on
from tests.relay.events import emit, value_of
from tests.relay.leader import closed, leading


def publish(tx: Transaction) -> None:
    tx.emit(OutboxEvent.json(topic="t", key="k", type="thing.happened", data={}))


def complete(engine: Engine) -> list[bool]:
    """Whether what was done before this migration, or is done now, is published."""
    run = create_transaction_coordinator(engine=engine)
    result = run.execute(run_id="r", tenant_id="t", run_status="succeeded")
    outcome = Coordinator(engine).run(publish, key=("k",))
    return [result.wait_published(0), outcome.wait_published(0)]


def test_a_record_of_before_is_published_once_a_window_covers_the_migration(
    database_url: str,
) -> None:
    with engine_on(database_url) as engine:
        complete(engine)
        migrate.downgrade(database_url, "0005_expand_emit_many")
        migrate.upgrade(database_url)
        assert complete(engine) == [False, False]
        emit(database_url, "t")
        with leading(database_url) as store:
            closed(store)
        assert complete(engine) == [True, True]


@pytest.mark.parametrize("table", ["run_completions", "transaction_records"])
def test_no_table_is_rewritten_under_its_lock(database_url: str, table: str) -> None:
    migrate.downgrade(database_url, "0005_expand_emit_many")
    file = f"select pg_relation_filenode('public.{table}')"
    before = value_of(database_url, file)
    migrate.upgrade(database_url)
    assert value_of(database_url, file) == before


def test_a_writer_of_the_release_before_needs_no_such_column(database_url: str) -> None:
    with engine_on(database_url) as engine, engine.begin() as connection:
        connection.execute(
            text(
                "insert into transaction_records (key, call_id, arguments, outcome)"
                " values (array['k'], gen_random_uuid(), '{}', '{}')"
            )
        )
        own = text("select txid = pg_current_xact_id()::text::bigint from transaction_records")
        assert connection.scalar(own)
