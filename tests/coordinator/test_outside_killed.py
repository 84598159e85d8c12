"""kill -9 at each step of tx.outside; afterwards the world outside agrees with the database."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

import coordinator
from coordinator import Coordinator, recover
from tests.coordinator.orders import KEY, done
from tests.coordinator.outside_child import journey
from tests.coordinator.outside_world import World, left
from tests.style.rules import ROOT

# Passed by a journey that commits: after each intent and each action, and around the commit.
COMMITTING = [
    "outside.intent_written:1",
    "outside.acted:1",
    "outside.intent_written:2",
    "outside.acted:2",
    "outside.settled",
    "coordinator.before_commit",
    "returned",
]
# Passed by one that fails: before and after each undo, and before and after its record.
FAILING = [
    "outside.rolled_back:1",
    "outside.undone:1",
    "outside.acknowledged:1",
    "outside.rolled_back:2",
    "outside.undone:2",
    "outside.acknowledged:2",
    "returned",
]
DEATHS = [(point, "commits") for point in COMMITTING] + [(point, "fails") for point in FAILING]


def die(database_url: str, world: World, failpoint: str, end: str) -> None:
    """Let a process book the journey and be killed on the way."""
    command = [sys.executable, "-m", "tests.coordinator.outside_child"]
    command += [database_url, world.folder, failpoint, end]
    died = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert died.returncode == -signal.SIGKILL, died.stderr


def agreed(engine: Engine, world: World) -> bool:
    """Whether there is a whole journey where it is committed, and none where it is not."""
    things = [name.partition("-")[0] for name in world.bookings]
    return things == (["flight", "hotel"] if "transaction_records" in done(engine) else [])


@pytest.mark.parametrize(("failpoint", "end"), DEATHS)
def test_after_a_kill_recover_makes_the_world_agree_with_the_database(
    orders: Engine, database_url: str, world: World, failpoint: str, end: str
) -> None:
    die(database_url, world, failpoint, end)
    assert recover(orders).is_complete
    assert agreed(orders, world)
    assert left(orders) == 0


@pytest.mark.parametrize("failpoint", COMMITTING)
def test_after_a_kill_the_same_call_makes_them_agree_as_well(
    orders: Engine, database_url: str, world: World, failpoint: str
) -> None:
    die(database_url, world, failpoint, "commits")
    Coordinator(orders).run(journey, world.folder, fails=False, key=KEY)
    assert agreed(orders, world)
    assert left(orders) == 0


def test_an_undo_that_was_recorded_does_not_run_again(
    orders: Engine, database_url: str, world: World
) -> None:
    die(database_url, world, "outside.acknowledged:1", "fails")
    recover(orders)
    assert world.journal == ["book flight", "book hotel", "cancel hotel", "cancel flight"]


def test_an_undo_that_was_not_recorded_runs_once_more(
    orders: Engine, database_url: str, world: World
) -> None:
    die(database_url, world, "outside.undone:1", "fails")
    recover(orders)
    assert world.journal[2:] == ["cancel hotel", "cancel hotel", "cancel flight"]


def test_a_commit_is_not_undone(orders: Engine, database_url: str, world: World) -> None:
    die(database_url, world, "returned", "commits")
    recover(orders)
    assert world.journal == ["book flight", "book hotel"]


def test_a_process_is_killed_at_each_point_that_the_code_has() -> None:
    package = Path(coordinator.__file__).parent
    calls = [
        node
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "hit"
    ]
    # A name that is put together there (`coordinator.done:<operation>`) is a test's of its own.
    names = {name.value for call in calls if isinstance(name := call.args[0], ast.Constant)}
    tried = {failpoint.partition(":")[0] for failpoint, _ in DEATHS}
    assert {name for name in names if str(name).startswith("outside.")} <= tried
