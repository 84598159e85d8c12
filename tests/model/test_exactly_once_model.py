"""Exactly once, in the model; and each bug that is planted there is found."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.exactly_once_machine import ExactlyOnceMachine, FailoverMachine
from tests.model.judgement import Violated
from tests.model.planted_transactions import FORGOTTEN, PLANTED
from tests.model.test_planted_bugs import SEARCH

TestAConsumerOfWhatIsCommittedSeesEachEventOnce = ExactlyOnceMachine.TestCase
TestAConsumerOfWhatIsCommittedSeesEachEventOnce.settings = settings(
    max_examples=200, stateful_step_count=60, deadline=None
)


TestAFailoverHidesNoEvent = FailoverMachine.TestCase
TestAFailoverHidesNoEvent.settings = settings(
    max_examples=100, stateful_step_count=60, deadline=None
)


@pytest.mark.parametrize("name", PLANTED)
def test_the_machine_finds(name: str) -> None:
    parts, invariant = PLANTED[name]
    given = {"parts": parts, "judged": frozenset({invariant})}
    planted = type("Planted", (ExactlyOnceMachine,), given)

    with pytest.raises(Violated, match=f"^{invariant}: "):
        run_state_machine_as_test(planted, settings=SEARCH)


def test_a_window_known_by_its_number_hides_events_after_a_failover() -> None:
    given = {"parts": FORGOTTEN, "judged": frozenset({"I1"})}
    planted = type("Planted", (FailoverMachine,), given)

    with pytest.raises(Violated, match=r"^I1: "):
        run_state_machine_as_test(planted, settings=SEARCH)
