"""How fast the broker answers, asked now and then in a thread of its own.

A broker that is away lets its client wait for seconds: whoever draws a screen must not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from relay.daemon.clock import rest
from relay.errors import Unreachable
from relay.kafka.examiner import BrokerExaminer
from relay.kafka.properties import Properties

__all__ = ["NOT_KNOWN_YET", "BrokerProbe"]

EVERY_S = 5.0
NOT_KNOWN_YET = "not known yet"


class BrokerProbe:
    """Of one cluster, from its making to the end of the process."""

    def __init__(self, properties: Properties, clock: Callable[[], float]) -> None:
        self._properties = properties
        self._clock = clock
        self._first = threading.Event()
        self._latest: float | str = NOT_KNOWN_YET
        threading.Thread(target=self._ask, name="broker probe", daemon=True).start()

    def latest(self, within_s: float = 0.0) -> float | str:
        """Seconds that the last answer took, or why there was none.

        The first answer is waited for, for `within_s` at the most.
        """
        self._first.wait(within_s)
        return self._latest

    def _ask(self) -> None:
        never = threading.Event()
        examiner = BrokerExaminer(self._properties, self._clock)
        while True:
            try:
                self._latest = examiner.reach()[1]
            except Unreachable as problem:
                self._latest = str(problem)
            self._first.set()
            rest(EVERY_S, unless=never)
