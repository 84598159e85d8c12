"""`relay bench writers`: figures that belong together, of ways that write the same rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import psycopg
import pytest

from relay.bench.writer import TENANT, WAYS, run_id, trace_id
from relay.bench.writers import WRITERS
from relay.errors import RelayError

# What is said of a run, without what is made anew for each: ids and times.
ROWS = """
select 'incident', tenant_id, run_status, error_code, is_synthetic::text from public.incidents
where run_id = %(run_id)s
union all
select 'evaluation', policy, outcome, reason, is_synthetic::text from public.policy_evaluations
where run_id = %(run_id)s
union all
select 'trace', tenant_id, status, run_status, (completed_at is not null)::text from public.traces
where run_id = %(run_id)s
union all
select 'completion', tenant_id, null, null, null from public.run_completions
where run_id = %(run_id)s
union all
select 'claim', tenant_id, null, null, null from public.run_claims where run_id = %(run_id)s
union all
select 'event', topic, type, content_type, null from outbox.event where key = %(run_id)s
"""


def written(url: str, way: str, number: int) -> list[tuple[Any, ...]]:
    """The rows of a run that was completed in this way."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into public.traces (id, tenant_id, run_id) values (%s, %s, %s)",
            [trace_id(number), TENANT, run_id(number)],
        )
    with WAYS[way](url) as complete:
        complete(number)
    with psycopg.connect(url) as connection:
        return sorted(
            connection.execute(ROWS.encode(), {"run_id": run_id(number)}).fetchall(), key=repr
        )


@pytest.mark.parametrize("way", ["by_hand", "by_hand_in_a_pipeline"])
def test_what_is_written_by_hand_is_what_execute_writes(database_url: str, way: str) -> None:
    assert written(database_url, way, 1) == written(database_url, "execute", 2)


def test_without_events_all_else_is_the_same(database_url: str) -> None:
    with_events = written(database_url, "execute", 1)
    assert written(database_url, "execute_without_events", 2) == [
        row for row in with_events if row[0] != "event"
    ]


@pytest.mark.parametrize("way", ["by_hand", "by_hand_in_a_pipeline"])
def test_a_run_is_completed_once_by_hand_too(database_url: str, way: str) -> None:
    first = written(database_url, way, 1)
    refusals = (RelayError, psycopg.errors.UniqueViolation)
    with WAYS[way](database_url) as complete, pytest.raises(refusals):
        complete(1)
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(ROWS.encode(), {"run_id": run_id(1)}).fetchall()
    assert sorted(rows, key=repr) == first


def test_the_figures_are_one_json_object_on_the_last_line() -> None:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    arguments = ["bench", "writers", "--transactions", "16", "--rounds", "1", "--json"]
    command = [sys.executable, "-m", "relay.cli.main", *arguments]
    done = subprocess.run(command, env=ours, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["writers"].keys() == {str(count) for count in WRITERS}
    for found in figures["writers"].values():
        rates = {way: found[way]["transactions_per_second"] for way in WAYS}
        assert all(rates.values())
        assert found["times_by_hand"] == pytest.approx(
            rates["by_hand"] / rates["execute"], rel=0.05
        )
        assert found["cost_of_events"] == pytest.approx(
            1 - rates["execute"] / rates["execute_without_events"], abs=0.05
        )
    assert "16 writers: 1 of 1" in done.stdout
