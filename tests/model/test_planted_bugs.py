"""The machine can see: each bug that is planted is found, by the invariant that it breaks."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.judgement import Violated
from tests.model.planted_bugs import PLANTED
from tests.model.relay_machine import RelayMachine

# Found once is enough: no shrinking, and always the same walk.
SEARCH = settings(
    max_examples=2_000,
    stateful_step_count=50,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("name", PLANTED)
def test_the_machine_finds(name: str) -> None:
    parts, invariant = PLANTED[name]
    planted = type("Planted", (RelayMachine,), {"parts": parts, "judged": frozenset({invariant})})

    with pytest.raises(Violated, match=f"^{invariant}: "):
        run_state_machine_as_test(planted, settings=SEARCH)
