"""The command as a whole: its version, its help, and what it does not load."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

from tests.cli.command import relay

UNREACHABLE = "postgresql://relay:hunter2swordfish@127.0.0.1:1/db"


def test_version_names_the_distribution_and_its_version() -> None:
    outcome = relay("--version")
    assert outcome.exit_code == 0
    assert outcome.out.strip().endswith(f"version {version('outbox-relay')}")


def test_help_lists_every_command() -> None:
    outcome = relay("--help")
    assert outcome.exit_code == 0
    listed = {line.split()[0] for line in outcome.out.splitlines() if line.startswith("  ")}
    assert {"run", "status", "migrate", "demo", "bench"} <= listed


def test_a_command_that_does_not_exist_ends_with_2() -> None:
    assert relay("publish").exit_code == 2


@pytest.mark.parametrize("command", ["status", "migrate"])
def test_an_unreachable_database_ends_with_69_a_sentence_and_no_secret(command: str) -> None:
    outcome = relay(command, database_url=UNREACHABLE)
    assert outcome.exit_code == 69
    assert outcome.err.startswith("relay: database: ")
    assert len(outcome.err.splitlines()) == 1
    assert "hunter2swordfish" not in outcome.said


@pytest.mark.parametrize(
    ("module", "not_loaded"),
    [
        ("relay.cli.main", ("confluent_kafka", "psycopg", "alembic", "rich")),
        ("relay.cli.status", ("confluent_kafka", "alembic", "rich")),
        ("relay.cli.migrate", ("confluent_kafka", "rich")),
        ("relay.cli.run", ("alembic", "sqlalchemy")),
    ],
)
def test_a_command_loads_only_what_it_needs(module: str, not_loaded: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(*[name for name in {not_loaded!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
