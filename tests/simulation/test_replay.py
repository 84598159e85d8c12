"""A seed is a whole world: whoever has it sees the same once more, step by step."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.model.judgement import Violated
from tests.simulation.canaries import CANARIES
from tests.simulation.test_simulation import SEEDS
from tests.simulation.world import simulate

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
    seed, violated = first_loss()
    (report,) = violated.__notes__

    assert f"make simulate SEED={seed}" in report
    assert "Send " in report


def first_loss() -> tuple[int, Violated]:
    """The first world in which a bug is seen."""
    for seed in range(SEEDS):
        try:
            simulate(seed, CANARIES["id > last"].parts)
        except Violated as violated:
            return seed, violated
    raise AssertionError("the bug is never seen")
