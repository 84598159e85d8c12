"""However members come and go, the outboxes are shared evenly, and then nothing moves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from relay.core.fleet import Claim, Member
from tests.model.fleet_machine import FleetMachine, Uneven
from tests.model.test_planted_bugs import SEARCH

TestAFleetComesToRestEvenly = FleetMachine.TestCase
TestAFleetComesToRestEvenly.settings = settings(
    max_examples=100, stateful_step_count=25, deadline=None
)


def one_more_is_enough(self: Member, claim: Claim) -> bool:
    return claim.leads + 1 <= len(self.leads)


def one_ahead(self: Member, outbox: str, now_s: float) -> bool:
    return self.others[outbox][0] >= len(self.leads) + 1


def never(self: Member, claim: Claim) -> bool:
    return False


# Either side alone keeps a difference of one from being evened out to and fro.
PLANTED: dict[str, dict[str, Callable[..., bool]]] = {
    "to and fro": {"gives_to": one_more_is_enough, "_two_ahead": one_ahead},
    "never": {"gives_to": never},
}


@pytest.mark.parametrize("name", PLANTED)
def test_the_machine_finds_a_fleet_that_gives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for method, planted in PLANTED[name].items():
        monkeypatch.setattr(Member, method, planted)

    with pytest.raises(Uneven):
        run_state_machine_as_test(FleetMachine, settings=SEARCH)
