"""A seed is a whole world: whoever has it sees the same once more, step by step."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.model.judgement import Violated
from tests.simulation.canaries import CANARIES
from tests.simulation.world import simulate

SEED_OF_A_LOSS = 3
SEED = 16
"""Of a world in which much happens."""


def test_a_seed_gives_the_same_world_again() -> None:
    first, again = simulate(SEED), simulate(SEED)

    assert again.report() == first.report()
    assert again.steps_made == first.steps_made
    assert again.broker.records == first.broker.records


def test_another_seed_gives_another_world() -> None:
    assert simulate(SEED + 1).broker.records != simulate(SEED).broker.records


@pytest.mark.parametrize("hashes", ["1", "2"])
def test_another_process_sees_the_same_steps(hashes: str) -> None:
    """Sets of strings are walked in an order of their own in each process."""
    shown = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seed", str(SEED)],
        env={**os.environ, "PYTHONHASHSEED": hashes},
        capture_output=True,
        text=True,
        check=True,
    )

    assert shown.stdout.strip() == simulate(SEED).report()


def test_a_failure_says_how_to_see_it_again_and_what_came_before() -> None:
    with pytest.raises(Violated) as found:
        simulate(SEED_OF_A_LOSS, CANARIES["id > last"].parts)
    (report,) = found.value.__notes__

    assert f"make simulate SEED={SEED_OF_A_LOSS}" in report
    assert "Send " in report
