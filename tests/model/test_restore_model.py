"""Wherever the database goes on, nothing is lost, hidden or reordered, and marks take each once."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.judgement import Violated
from tests.model.planted_restores import PLANTED_RESTORES
from tests.model.restore_machine import RestoredMarksMachine, RestoreMachine
from tests.model.test_planted_bugs import SEARCH

WALK = settings(max_examples=250, stateful_step_count=60, deadline=None)

TestWhereverTheDatabaseGoesTheRelayKeepsItsPromises = RestoreMachine.TestCase
TestWhereverTheDatabaseGoesEachEventIsTakenOnce = RestoredMarksMachine.TestCase
for case in (
    TestWhereverTheDatabaseGoesTheRelayKeepsItsPromises,
    TestWhereverTheDatabaseGoesEachEventIsTakenOnce,
):
    case.settings = WALK


@pytest.mark.parametrize("name", PLANTED_RESTORES)
def test_the_machine_finds(name: str) -> None:
    parts, invariant = PLANTED_RESTORES[name]
    bug = {"parts": parts, "judged": frozenset({invariant})}
    planted = type("Planted", (RestoreMachine,), bug)

    with pytest.raises(Violated, match=f"^{invariant}: "):
        run_state_machine_as_test(planted, settings=SEARCH)
