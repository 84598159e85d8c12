"""1,000 worlds, the same ones every time; `make simulate` draws others.

A failure names its seed, and `make simulate SEED=...` lives through that world again, step by step.
"""

from __future__ import annotations

import pytest

from tests.simulation.world import simulate

SEEDS = 1_000
SEEDS_A_TEST = 50


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_A_TEST))
def test_whatever_happens_the_relays_keep_their_promises(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        simulate(seed)
