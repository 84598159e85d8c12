"""P1, F05: domain rows and events commit together, whatever fails, and whenever the writer dies."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine

import coordinator
from coordinator import TransactionFailed, create_transaction_coordinator, failpoints
from tests.coordinator.database import engine_on, start_trace, written

# In the order in which a completion passes them.
BEFORE_THE_COMMIT = (
    "coordinator.begun",
    "coordinator.incident_created",
    "coordinator.policy_evaluated",
    "coordinator.trace_completed",
    "coordinator.events_appended",
    "coordinator.before_commit",
)
AFTER_THE_COMMIT = ("coordinator.committed",)

ONE_SET = {
    "incidents": 1,
    "policy_evaluations": 1,
    "completed traces": 1,
    "run_completions": 1,
    "run_claims": 1,
    "event": 4,
}

# A runner of its own, which is killed where the first argument says.
RUNNER = """
import os, sys
from coordinator import failpoints, get_transaction_coordinator
if sys.argv[1]:
    failpoints.arm_kill(sys.argv[1])
result = get_transaction_coordinator().execute(
    run_id="r1", tenant_id="t1", run_status="failed", trace_id=sys.argv[2]
)
print("replayed" if result.replayed else "completed")
"""


class Injected(Exception):
    """What a failpoint raises."""


def fail() -> None:
    raise Injected


def run_runner(url: str, trace_id: str, die_at: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUNNER, die_at, trace_id],
        env=os.environ | {"COORDINATOR_DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    with engine_on(database_url) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_stays_armed() -> Iterator[None]:
    yield
    failpoints.disarm()


def test_the_failpoints_in_the_code_are_those_tested_here() -> None:
    sources = Path(coordinator.__file__).parent.rglob("*.py")
    named = re.compile(r'\bhit\("(coordinator\.[a-z_]+)"\)')
    in_code = {name for source in sources for name in named.findall(source.read_text())}
    assert in_code == {*BEFORE_THE_COMMIT, *AFTER_THE_COMMIT}


@pytest.mark.parametrize("point", BEFORE_THE_COMMIT)
def test_a_failure_before_the_commit_leaves_nothing(engine: Engine, point: str) -> None:
    trace_id = start_trace(engine, "t1", "r1")
    failpoints.arm(point, fail)
    with pytest.raises(TransactionFailed) as failed:
        create_transaction_coordinator(engine=engine).execute(
            run_id="r1", tenant_id="t1", run_status="failed", trace_id=trace_id
        )
    assert isinstance(failed.value.cause, Injected)
    assert written(engine) == {}


@pytest.mark.parametrize("point", BEFORE_THE_COMMIT)
def test_nothing_is_visible_to_others_before_the_commit(engine: Engine, point: str) -> None:
    trace_id = start_trace(engine, "t1", "r1")
    seen: list[dict[str, int]] = []
    with (
        engine_on(engine.url.render_as_string(hide_password=False)) as others,
        ThreadPoolExecutor(1) as elsewhere,  # a connection of the domain's own would be refused
    ):
        failpoints.arm(point, lambda: seen.append(elsewhere.submit(written, others).result()))
        create_transaction_coordinator(engine=engine).execute(
            run_id="r1", tenant_id="t1", run_status="failed", trace_id=trace_id
        )
    assert seen == [{}]
    assert written(engine) == ONE_SET


@pytest.mark.parametrize("point", BEFORE_THE_COMMIT)
def test_a_writer_killed_before_the_commit_leaves_nothing_and_a_retry_gives_one_set(
    engine: Engine, database_url: str, point: str
) -> None:
    trace_id = start_trace(engine, "t1", "r1")
    assert run_runner(database_url, trace_id, die_at=point).returncode == -signal.SIGKILL
    assert written(engine) == {}
    assert run_runner(database_url, trace_id).stdout == "completed\n"
    assert written(engine) == ONE_SET


@pytest.mark.parametrize("point", AFTER_THE_COMMIT)
def test_a_writer_killed_after_the_commit_leaves_one_set_and_a_retry_gets_its_result(
    engine: Engine, database_url: str, point: str
) -> None:
    trace_id = start_trace(engine, "t1", "r1")
    assert run_runner(database_url, trace_id, die_at=point).returncode == -signal.SIGKILL
    assert written(engine) == ONE_SET
    assert run_runner(database_url, trace_id).stdout == "replayed\n"
    assert written(engine) == ONE_SET
