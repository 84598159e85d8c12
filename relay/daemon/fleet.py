"""Several outboxes in one process, a thread each, isolated from each other's failures.

What ends a process that serves a single outbox (a schema that is too old, an unsafe database, a
bug) ends only that outbox here. It is told and begun anew after a while, and the others go on: none
of their lines to a database, to the broker or to the fleet is shared.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from relay.core.pacing import LONGEST_RESTART_S, restart_rest_s
from relay.daemon.clock import monotonic_s, rest
from relay.errors import InvariantBroken, RelayError, told_bug
from relay.observe.logs import log

__all__ = ["Fleet", "Serves"]

OTHERS_GO_ON = "the other outboxes go on; this one is begun anew by itself once that is mended"


class Serves(Protocol):
    """One life of one outbox."""

    def run(self, until_drained: bool) -> None:
        """Serve until asked to stop; raises what ends it before that."""


class Fleet:
    """The outboxes of this process."""

    def __init__(
        self, outboxes: Mapping[str, Callable[[], Serves]], stopping: threading.Event
    ) -> None:
        """`outboxes`: by name, what begins each anew."""
        self._outboxes = outboxes
        self._stopping = stopping
        self._problems: dict[str, Exception] = {}

    def run(self, until_drained: bool) -> None:
        """Serve all until asked to stop, or, with `until_drained`, until each has nothing pending.

        Raises the worst, by exit code, of what keeps an outbox from being served at the end. A
        failure ends the only outbox; with `until_drained` any, as nobody waits for a person then.
        """
        threads = [
            threading.Thread(target=self._serve, args=(name, until_drained), name=f"outbox {name}")
            for name in self._outboxes
        ]
        for thread in threads:
            thread.daemon = True
            thread.start()
        for thread in threads:
            thread.join()
        if self._problems:
            raise max(self._problems.values(), key=_exit_code)

    def _serve(self, name: str, until_drained: bool) -> None:
        failures, ends_with_it = 0, until_drained or len(self._outboxes) == 1
        while not self._stopping.is_set():
            begun_at_s = monotonic_s()
            try:
                self._outboxes[name]().run(until_drained)
                self._problems.pop(name, None)
                return
            except Exception as problem:  # noqa: BLE001 - the main thread raises it at the end
                self._problems[name] = problem
            if ends_with_it:
                self._tell_the_end(name)
                return
            lasted_s = monotonic_s() - begun_at_s
            failures = 1 if lasted_s > LONGEST_RESTART_S else failures + 1
            self._rest_after(name, failures)

    def _tell_the_end(self, name: str) -> None:
        """Of several, as the process ends with the worst of their problems alone."""
        if len(self._outboxes) > 1:
            log.error("outbox_failed", outbox=name, reason=_told(self._problems[name]))

    def _rest_after(self, name: str, failures: int) -> None:
        rest_s = restart_rest_s(failures)
        reason = _told(self._problems[name])
        log.error(
            "outbox_failed", outbox=name, reason=reason, retry_in_s=rest_s, advice=OTHERS_GO_ON
        )
        rest(rest_s, unless=self._stopping)


def _exit_code(problem: Exception) -> int:
    return problem.exit_code if isinstance(problem, RelayError) else InvariantBroken.exit_code


def _told(problem: Exception) -> str:
    return str(problem) if isinstance(problem, RelayError) else told_bug(problem)
