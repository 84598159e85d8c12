"""Marks take each event once, whatever happens to relays, database, broker and consumer."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.judgement import Violated
from tests.model.marks_machine import GrowthMachine, MarksMachine, PromotionMachine
from tests.model.planted_marks import PLANTED_MARKS, first_not_alone
from tests.model.test_planted_bugs import SEARCH
from tests.model.two_step_pump import Parts

WALK = settings(max_examples=150, stateful_step_count=60, deadline=None)

TestInOneEpochEachEventIsTakenOnce = MarksMachine.TestCase
TestOverPromotionsEachEventIsTakenOnce = PromotionMachine.TestCase
TestWhileTheTopicGrowsNoEventIsLost = GrowthMachine.TestCase
for case in (
    TestInOneEpochEachEventIsTakenOnce,
    TestOverPromotionsEachEventIsTakenOnce,
    TestWhileTheTopicGrowsNoEventIsLost,
):
    case.settings = WALK


class OverAGap(MarksMachine):
    """Should a page come out of order after all, the ids beside the mark still tell."""

    parts = Parts(make_sink=first_not_alone)
    judged = frozenset({"M2", "M3"})


TestEvenOverAGapEachEventIsTakenOnce = OverAGap.TestCase
TestEvenOverAGapEachEventIsTakenOnce.settings = WALK


@pytest.mark.parametrize("name", PLANTED_MARKS)
def test_the_machine_finds(name: str) -> None:
    machine, parts, invariant = PLANTED_MARKS[name]
    planted = type("Planted", (machine,), {**parts, "judged": frozenset({invariant})})

    with pytest.raises(Violated, match=f"^{invariant}: "):
        run_state_machine_as_test(planted, settings=SEARCH)
