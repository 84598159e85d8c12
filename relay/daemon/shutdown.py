"""Stopping.

The first signal lets what is in flight finish, the second does not, and neither takes for ever.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

from relay.observe.logs import log

__all__ = ["DRAIN_LIMIT_S", "stop_on_signals"]

DRAIN_LIMIT_S = 10.0
"""How long a stop waits for the broker's acknowledgements."""

HARD_LIMIT_S = DRAIN_LIMIT_S + 1.5
"""After this the process ends wherever it hangs (a frozen database).

What was in flight is sent again by the next.
"""

EX_TEMPFAIL = 75


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set.

    A second signal, or the hard limit, ends the process at once.
    """
    stopping = threading.Event()

    def stop(number: int, _: FrameType | None) -> None:
        if stopping.is_set():
            log.warning("stopped_at_once", advice="what was in flight is sent again")
            os._exit(EX_TEMPFAIL)
        stopping.set()
        hard_limit = threading.Timer(HARD_LIMIT_S, _end)
        hard_limit.daemon = True
        hard_limit.start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stopping


def _end() -> None:
    log.error(
        "stopped_hard",
        after_s=HARD_LIMIT_S,
        advice="nothing is lost; what was in flight is sent again",
    )
    os._exit(EX_TEMPFAIL)
