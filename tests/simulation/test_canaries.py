"""The simulation can see: each bug that is planted is found within the seeds of every test run."""

from __future__ import annotations

import pytest

from tests.model.judgement import Violated
from tests.simulation.canaries import CANARIES, Canary
from tests.simulation.test_simulation import SEEDS
from tests.simulation.world import simulate


@pytest.mark.parametrize("name", CANARIES)
def test_the_simulation_finds(name: str) -> None:
    canary = CANARIES[name]

    assert any(breaks(seed, canary) for seed in range(SEEDS))


def breaks(seed: int, canary: Canary) -> bool:
    """Whether in the world of that seed the bug breaks what it is meant to break."""
    try:
        simulate(seed, canary.parts, canary.taking)
    except Violated as violated:
        return str(violated).split(":")[0] in canary.breaks
    return False
