"""The schema goes up and down, on a database that is in use."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from coordinator import create_transaction_coordinator, once
from coordinator.migrating import MIGRATION_LOCK
from relay.admin import migrate
from relay.errors import BadConfiguration, EventsPending, Unreachable
from tests.coordinator.database import engine_on, start_trace, written
from tests.migrations.schema import schema_of
from tests.relay.leader import leading
from tests.support.wait import until

REVISIONS = [
    "0001_expand_outbox",
    "0002_expand_runs",
    "0003_expand_inbox",
    "0004_expand_claims",
    "0005_expand_emit_many",
    "0006_expand_published",
    "0007_expand_intents",
    "0008_expand_take",
    "0009_expand_parked",
    "0010_expand_marks",
    "0011_expand_search_path",
    "0012_expand_milestones",
    "0013_expand_parking",
    "0014_expand_wakeup",
    "0015_expand_debezium",
    "0016_expand_fleet",
    "0017_expand_numberings",
    "0018_expand_serves_since",
]

PARKED = """insert into inbox.parked
    (consumer, topic, partition, "offset", header_names, header_values, timestamp_ms, event_id)
    values ('billing', 't', 0, 0, '{}', '{}', 0, gen_random_uuid())"""
INTENT = """insert into public.transaction_intents
    (attempt_id, ordinal, key, call_id, action, undo, arguments)
    values (gen_random_uuid(), 0, '{k}', gen_random_uuid(), 'a', 'u', '[]')"""


@pytest.fixture
def populated(database_url: str) -> Iterator[Engine]:
    """A database with rows in every table that users fill."""
    with engine_on(database_url) as engine:
        trace_id = start_trace(engine, "t1", "r1")
        create_transaction_coordinator(engine=engine).execute(
            run_id="r1", tenant_id="t1", run_status="failed", trace_id=trace_id
        )
        with Session(engine) as session, session.begin():
            once(session, uuid4(), consumer="billing")
        yield engine


def test_up_brings_an_empty_database_to_the_head(empty_database_url: str) -> None:
    assert migrate.current(empty_database_url) is None
    migrate.upgrade(empty_database_url)
    assert migrate.current(empty_database_url) == migrate.head() == REVISIONS[-1]


def test_down_to_base_leaves_a_populated_database_as_if_nothing_had_been_there(
    populated: Engine, database_url: str, empty_database_url: str
) -> None:
    migrate.downgrade(database_url, "base", discard_pending=True)
    assert migrate.current(database_url) is None
    assert schema_of(database_url) == schema_of(empty_database_url)


@pytest.mark.parametrize("revision", REVISIONS)
def test_down_to_a_revision_gives_what_up_to_it_gives(
    populated: Engine, database_url: str, empty_database_url: str, revision: str
) -> None:
    migrate.downgrade(database_url, revision)
    migrate.upgrade(empty_database_url, revision)
    assert schema_of(database_url) == schema_of(empty_database_url)


def test_down_one_step_keeps_the_rows_of_the_steps_below(
    populated: Engine, database_url: str
) -> None:
    before = written(populated)
    migrate.downgrade(database_url, "0002_expand_runs")
    assert written(populated) == before


def test_up_again_after_down_serves_writers(populated: Engine, database_url: str) -> None:
    migrate.downgrade(database_url, "base", discard_pending=True)
    migrate.upgrade(database_url)
    result = create_transaction_coordinator(engine=populated).execute(
        run_id="r1", tenant_id="t1", run_status="succeeded"
    )
    assert not result.replayed


def test_up_on_a_populated_database_that_is_at_the_head_changes_nothing(
    populated: Engine, database_url: str
) -> None:
    before = written(populated)
    migrate.upgrade(database_url)
    assert written(populated) == before


def test_two_who_migrate_at_once_do_it_once(empty_database_url: str) -> None:
    # Two processes, as on two machines: Alembic serves one migration at a time in each.
    program = f"from relay.admin import migrate; migrate.upgrade({empty_database_url!r})"
    both = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert migrate.current(empty_database_url) == migrate.head()


def test_a_table_in_use_is_not_waited_for_and_nothing_is_changed(
    populated: Engine, database_url: str
) -> None:
    before = schema_of(database_url)
    with psycopg.connect(database_url) as user:
        user.execute("select count(*) from public.incidents")
        with pytest.raises(Unreachable, match="lock timeout"):
            migrate.downgrade(database_url, "base", discard_pending=True)
    assert schema_of(database_url) == before
    assert migrate.current(database_url) == migrate.head()


def test_a_revision_that_fails_leaves_the_schema_of_before(
    empty_database_url: str,
) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("create table public.run_claims ()")
    before = schema_of(empty_database_url)
    with pytest.raises(Exception, match="run_claims"):
        migrate.upgrade(empty_database_url)
    assert schema_of(empty_database_url) == before


@pytest.mark.parametrize(
    "form",
    [
        lambda url: url,
        lambda url: url.replace("postgresql://", "postgresql+psycopg://", 1),
        psycopg.conninfo.make_conninfo,
    ],
    ids=["url", "SQLAlchemy url", "libpq"],
)
def test_every_form_of_an_address_is_understood(
    empty_database_url: str, form: Callable[[str], str]
) -> None:
    migrate.upgrade(form(empty_database_url))
    assert migrate.current(empty_database_url) == migrate.head()


def test_a_revision_that_is_not_there_is_a_bad_configuration(database_url: str) -> None:
    with pytest.raises(BadConfiguration, match="9999"):
        migrate.upgrade(database_url, "9999")


def test_a_database_that_is_not_there_is_unreachable_and_its_password_is_not_told() -> None:
    with pytest.raises(Unreachable) as refused:
        migrate.upgrade("postgresql://me:s3cret@127.0.0.1:1/none")
    assert "s3cret" not in str(refused.value)


def alembic(*arguments: str) -> str:
    checkout = Path(migrate.__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_the_printed_sql_makes_the_same_schema(empty_database_url: str, database_url: str) -> None:
    script = alembic("upgrade", "head", "--sql")
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(script.encode())
    assert schema_of(empty_database_url) == schema_of(database_url)
    assert migrate.current(empty_database_url) == migrate.head()


def test_alembics_own_command_migrates_a_checkout(empty_database_url: str) -> None:
    alembic("-x", f"url={empty_database_url}", "upgrade", "head")
    assert migrate.current(empty_database_url) == migrate.head()


def test_a_migration_waits_for_another_one_longer_than_for_a_table(
    empty_database_url: str,
) -> None:
    """The wait for a colleague harms no writer, so the limit for table locks is not its limit."""
    waiting = "select 1 from pg_locks where locktype = 'advisory' and not granted"
    with psycopg.connect(empty_database_url) as colleague, ThreadPoolExecutor(1) as pool:
        colleague.execute("select pg_advisory_xact_lock(%s)", [MIGRATION_LOCK])
        done = pool.submit(migrate.upgrade, empty_database_url)
        until(lambda: is_so(empty_database_url, waiting), what="the migration to wait")
        colleague.commit()
        done.result()


def is_so(url: str, query: Any) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchone() is not None


def test_nothing_is_taken_from_under_a_relay_that_leads(database_url: str) -> None:
    with leading(database_url), pytest.raises(EventsPending, match="stop all relays first"):
        migrate.downgrade(database_url, "base")
    assert migrate.current(database_url) == migrate.head()


def test_a_downgrade_throws_no_parked_record_away(database_url: str) -> None:
    with engine_on(database_url) as engine, engine.begin() as connection:
        connection.execute(text(PARKED))
    with pytest.raises(EventsPending, match="1 records of consumers are parked"):
        migrate.downgrade(database_url, "0008_expand_take")
    migrate.downgrade(database_url, "0009_expand_parked")
    migrate.downgrade(database_url, "0008_expand_take", discard_pending=True)


def test_a_downgrade_throws_no_effect_away_that_is_to_be_undone(database_url: str) -> None:
    with engine_on(database_url) as engine, engine.begin() as connection:
        connection.execute(text(INTENT))
    with pytest.raises(EventsPending, match="relay recover"):
        migrate.downgrade(database_url, "0006_expand_published")
    migrate.downgrade(database_url, "0007_expand_intents")
