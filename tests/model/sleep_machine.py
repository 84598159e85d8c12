"""The relay in its world, where writers wake it: no event may be slept through.

A sleeper looks every few seconds all the same, so a wake-up that never came would be late and not
lost, and no judge of the log would see it. So this one looks at who sleeps after every rule.
"""

from __future__ import annotations

from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from tests.model.relay_machine import RelayMachine, endings, keys, relays
from tests.model.two_step_pump import Process

__all__ = ["SleepMachine"]

STEPS_TO_LIE_DOWN_MAX = 30


class SleepMachine(RelayMachine):
    """Every other relay listens, so that a sleeper is taken over by one that polls, and back.

    Judged besides is I11: none sleeps while an event is visible, in no window, and nobody will wake
    it.
    """

    judged: ClassVar[frozenset[str]] = RelayMachine.judged | {"I11"}

    def _start(self) -> Process:
        process = super()._start()
        process.listening = self.lives % 2 == 1
        return process

    @rule(relay=relays, written=st.lists(keys, min_size=1, max_size=3), how=endings)
    def a_burst_comes_as_it_lies_down(
        self, relay: int, written: list[str | None], how: str
    ) -> None:
        """Between its last look and the sleep lock."""
        self._run_until_it_lies_down(relay)
        self.a_whole_transaction(written, how)
        self.processes[relay].run(2)

    @rule(relay=relays, key=keys, how=endings)
    def one_is_under_way_as_it_lies_down(self, relay: int, key: str | None, how: str) -> None:
        self._run_until_it_lies_down(relay)
        late = self.database.begin()
        self._write(late, key)
        self.processes[relay].run(2)
        self._end(late, how)

    @rule(relay=relays, key=keys, inside=st.booleans(), how=endings)
    def a_savepoint_with_the_first_event_is_rolled_back(
        self, relay: int, key: str | None, inside: bool, how: str
    ) -> None:
        """Its part of the sleep lock goes with it, and the next event tries the lock again."""
        transaction = self.database.begin()
        transaction.savepoint()
        self._write(transaction, key)
        transaction.rollback_to_savepoint()
        if inside:
            self._run_until_it_lies_down(relay)
            self.processes[relay].run(2)
        self._write(transaction, key)
        self._end(transaction, how)

    @invariant()
    def no_event_is_slept_through(self) -> None:
        for process in self.processes:
            missed = process.misses
            self._require("I11", not missed, f"{missed} events are slept through")

    def _run_until_it_lies_down(self, relay: int) -> None:
        process = self.processes[relay]
        for _ in range(STEPS_TO_LIE_DOWN_MAX):
            if process.lies_down:
                return
            process.run()
