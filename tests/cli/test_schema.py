"""The schema: made and removed by `relay migrate`, and asked for by every other command."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from relay.admin import migrate as migrations
from relay.demo.embedded_postgres import find_binaries
from relay.postgres.cluster import SCHEMA_VERSION
from tests.cli.command import relay, status
from tests.migrations.schema import schema_of
from tests.relay.events import connected, emit, value_of
from tests.support.kafka import Broker

# Nothing listens there: a command that gets as far as the broker has gone too far.
NO_BROKER = "127.0.0.1:1"


@pytest.mark.parametrize("command", [("run",), ("run", "--until-drained"), ("status",)])
def test_a_missing_schema_ends_with_78_and_the_command_that_mends_it(
    empty_database_url: str, command: tuple[str, ...]
) -> None:
    outcome = relay(*command, database_url=empty_database_url, bootstrap_servers=NO_BROKER)
    assert outcome.exit_code == 78
    assert "run `relay migrate`" in outcome.err
    assert "Traceback" not in outcome.said


@pytest.mark.parametrize("command", ["run", "status"])
@pytest.mark.parametrize("version", ["0001_expand_outbox", "0099_contract_something"])
def test_a_schema_that_does_not_serve_it_ends_with_78_and_both_versions(
    database_url: str, command: str, version: str
) -> None:
    is_at(database_url, version, serves_since=version)
    outcome = relay(command, database_url=database_url, bootstrap_servers=NO_BROKER)
    assert outcome.exit_code == 78
    assert f"is at {version}, this relay needs {SCHEMA_VERSION}: run `relay migrate`" in outcome.err


def test_on_the_schema_of_a_later_release_it_goes_on_as_long_as_that_serves_it(
    database_url: str, mock_broker: Broker, topic: str
) -> None:
    """What an upgrade is between the migration and the restart of the last relay."""
    mock_broker.create_topic(topic)
    emit(database_url, topic)
    is_at(database_url, "0099_expand_something", serves_since=SCHEMA_VERSION)
    outcome = relay(
        *("run", "--until-drained"),
        database_url=database_url,
        bootstrap_servers=mock_broker.bootstrap_servers,
    )
    assert outcome.exit_code == 0, outcome.said
    assert status(database_url)["pending"] == 0


def is_at(database_url: str, version: str, serves_since: str) -> None:
    """As a relay of another release has migrated it."""
    with connected(database_url) as connection:
        connection.execute("update public.outbox_alembic_version set version_num = %s", (version,))
        connection.execute(
            "create or replace function outbox.serves_since() returns text language sql immutable "
            f"return '{serves_since}'".encode()
        )


def test_the_version_that_the_relay_needs_is_that_of_the_newest_migration() -> None:
    assert migrations.head() == SCHEMA_VERSION


def test_migrate_makes_the_schema_and_says_where_it_is(empty_database_url: str) -> None:
    outcome = relay("migrate", database_url=empty_database_url)
    assert (outcome.exit_code, outcome.out) == (0, f"schema is at {SCHEMA_VERSION}\n")
    assert status(empty_database_url)["pending"] == 0


def test_migrating_again_changes_nothing_and_ends_with_0(database_url: str) -> None:
    assert relay("migrate", database_url=database_url).exit_code == 0


def test_migrate_down_to_base_leaves_nothing_of_ours(database_url: str) -> None:
    outcome = relay("migrate", "--down", "base", database_url=database_url)
    assert (outcome.exit_code, outcome.out) == (0, "schema is at base\n")
    assert value_of(database_url, "select to_regnamespace('outbox')") is None


def test_migrate_down_is_refused_while_events_are_pending_and_says_how_many(
    database_url: str,
) -> None:
    emit(database_url, "t", count=2)
    outcome = relay("migrate", "--down", "base", database_url=database_url)
    assert outcome.exit_code == 1
    assert "2 committed events are not published yet" in outcome.err
    assert status(database_url)["pending"] == 2


def test_migrate_down_throws_pending_events_away_when_that_is_said(database_url: str) -> None:
    emit(database_url, "t", count=2)
    outcome = relay("migrate", "--down", "base", "--discard-pending", database_url=database_url)
    assert outcome.exit_code == 0
    assert value_of(database_url, "select to_regclass('outbox.event')") is None


def test_migrate_to_a_revision_that_does_not_exist_ends_with_78(database_url: str) -> None:
    outcome = relay("migrate", "--down", "0000_never", database_url=database_url)
    assert outcome.exit_code == 78
    assert "0000_never" in outcome.err


def psql(url: str, script: str) -> None:
    """Run a script as another tool does."""
    program = shutil.which("psql") or find_binaries() / "psql"
    subprocess.run(
        [program, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", url],
        input=script,
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def test_the_printed_sql_makes_the_same_schema_by_psql(
    empty_database_url: str, database_url: str
) -> None:
    outcome = relay("migrate", "--sql", unset="RELAY_DATABASE_URL")
    assert outcome.exit_code == 0, outcome.said
    psql(empty_database_url, outcome.out)
    assert schema_of(empty_database_url) == schema_of(database_url)
    assert migrations.current(empty_database_url) == SCHEMA_VERSION


def test_the_printed_sql_goes_on_from_where_the_database_is(
    empty_database_url: str, database_url: str
) -> None:
    migrations.upgrade(empty_database_url, "0002_expand_runs")
    psql(empty_database_url, relay("migrate", "--sql", "--since", "0002_expand_runs").out)
    assert schema_of(empty_database_url) == schema_of(database_url)
    assert migrations.current(empty_database_url) == SCHEMA_VERSION


def test_the_printed_sql_of_the_way_down_leaves_nothing_of_ours(
    empty_database_url: str, database_url: str
) -> None:
    psql(database_url, relay("migrate", "--sql", "--down", "base").out)
    assert schema_of(database_url) == schema_of(empty_database_url)
    assert migrations.current(database_url) is None


def test_printing_from_a_revision_that_does_not_exist_ends_with_78() -> None:
    outcome = relay("migrate", "--sql", "--since", "0000_never")
    assert outcome.exit_code == 78
    assert "0000_never" in outcome.err


def test_since_without_sql_is_refused(database_url: str) -> None:
    outcome = relay("migrate", "--since", "0002_expand_runs", database_url=database_url)
    assert outcome.exit_code == 2
    assert "--sql" in outcome.err


def test_the_url_may_be_one_of_sqlalchemy(database_url: str) -> None:
    url = database_url.replace("postgresql://", "postgresql+psycopg://", 1)
    assert relay("migrate", database_url=url).exit_code == 0
    assert status(url)["pending"] == 0
