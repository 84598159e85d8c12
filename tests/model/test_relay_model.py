from __future__ import annotations

from hypothesis import settings

from tests.model.relay_machine import RelayMachine

TestWhateverHappensTheRelayKeepsItsPromises = RelayMachine.TestCase
TestWhateverHappensTheRelayKeepsItsPromises.settings = settings(
    max_examples=400, stateful_step_count=60, deadline=None
)
