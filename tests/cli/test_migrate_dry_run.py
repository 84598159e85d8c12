"""`relay migrate --dry-run`: which revisions it would be, and nothing done."""

from __future__ import annotations

import json
from typing import Any

import pytest

from relay.admin import migrate
from tests.cli.command import relay
from tests.relay.events import emit


def dry(url: str, *args: str) -> dict[str, Any]:
    outcome = relay("migrate", "--dry-run", "--json", *args, database_url=url)
    assert outcome.exit_code == 0, outcome.said
    found: dict[str, Any] = json.loads(outcome.out)
    return found


def test_of_an_empty_database_it_names_every_revision_and_runs_none(
    empty_database_url: str,
) -> None:
    found = dry(empty_database_url, "--roles")
    assert found["revisions"][-1] == migrate.head()
    assert found["revisions"] == sorted(found["revisions"])
    assert found["schema_is_at"] is None
    assert migrate.current(empty_database_url) is None


def test_of_the_newest_schema_it_names_none(database_url: str) -> None:
    assert dry(database_url)["revisions"] == []
    said = relay("migrate", "--dry-run", database_url=database_url).out
    assert "no revision would be run" in said


def test_downwards_it_names_what_would_be_taken_back_newest_first(database_url: str) -> None:
    found = dry(database_url, "--down", "base")["revisions"]
    assert found[0] == migrate.head()
    assert found == sorted(found, reverse=True)
    assert dry(database_url, "--down", "-1")["revisions"] == [migrate.head()]
    assert migrate.current(database_url) == migrate.head()


def test_downwards_it_refuses_what_the_command_refuses(database_url: str) -> None:
    emit(database_url, "t")
    down = ("migrate", "--dry-run", "--down", "base")
    outcome = relay(*down, database_url=database_url)
    assert outcome.exit_code == 1
    assert "1 committed events are not published yet" in outcome.err
    assert relay(*down, "--discard-pending", database_url=database_url).exit_code == 0


@pytest.mark.parametrize("other", ["--dry-run", "--json"])
def test_with_sql_nothing_is_changed_anyway(other: str) -> None:
    assert relay("migrate", "--sql", other, database_url="postgresql://x/y").exit_code == 2


def test_what_was_done_is_one_object(empty_database_url: str) -> None:
    outcome = relay("migrate", "--json", database_url=empty_database_url)
    found = json.loads(outcome.out)
    assert (found["dry_run"], found["schema_is_at"]) == (False, migrate.head())
