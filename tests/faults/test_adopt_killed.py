"""`relay adopt` is killed at every step: no row is lost and none becomes an event twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter

import pytest

from tests.cli.command import relay
from tests.cli.test_adopt import events, make, unpublished, write
from tests.support.processes import environment

ROWS = 50
BATCH = 7
# How many of the batches before the kill are taken over when it comes at the second pass.
BATCHES_DONE = {"adopt.inserted": 1, "adopt.marked": 1, "adopt.committed": 2}

PROGRAM = """import sys
from coordinator.failpoints import arm_kill
from relay.cli.main import main
arm_kill(sys.argv.pop(1))
main()
"""


def killed_at(url: str, failpoint: str) -> int:
    """The exit code of an adoption that meets the point."""
    command = [sys.executable, "-c", PROGRAM, failpoint, "adopt", "legacy", "--batch", str(BATCH)]
    return subprocess.run(command, env=environment(url, ""), check=False, timeout=60).returncode


@pytest.mark.parametrize("failpoint", BATCHES_DONE)
def test_a_kill_leaves_each_row_unpublished_or_an_event_and_the_next_run_takes_the_rest(
    database_url: str, failpoint: str
) -> None:
    make(database_url)
    rows = [f"{n % 3}/{n}" for n in range(ROWS)]
    write(database_url, *rows)
    assert killed_at(database_url, f"{failpoint}:2") == -signal.SIGKILL
    done = BATCHES_DONE[failpoint] * BATCH
    assert (events(database_url), unpublished(database_url)) == (rows[:done], ROWS - done)

    assert relay("adopt", "legacy", database_url=database_url).exit_code == 0
    assert events(database_url) == rows
    assert set(Counter(events(database_url, "id")).values()) == {1}
