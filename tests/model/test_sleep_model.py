"""Whoever sleeps is woken, whatever happens; and a way to lie down that is wrong is found."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.judgement import Violated
from tests.model.planted_sleep import PLANTED_SLEEP
from tests.model.sleep_machine import SleepMachine
from tests.model.test_planted_bugs import SEARCH

TestNoEventIsSleptThrough = SleepMachine.TestCase
TestNoEventIsSleptThrough.settings = settings(
    max_examples=200, stateful_step_count=60, deadline=None
)


@pytest.mark.parametrize("name", PLANTED_SLEEP)
def test_the_machine_finds(name: str) -> None:
    parts = PLANTED_SLEEP[name]
    planted = type("Planted", (SleepMachine,), {"parts": parts, "judged": frozenset({"I11"})})

    with pytest.raises(Violated, match=r"^I11: "):
        run_state_machine_as_test(planted, settings=SEARCH)
