"""Stopping.

The first signal lets what is in flight finish, the second does not, and neither takes for ever.

A signal's handler runs in the main thread, between any two of its instructions: inside
`Event.wait`, say, with the event's lock held. Setting the event in the handler would then wait for
that lock for ever. So the handler only puts the number into a SimpleQueue, which is made for that,
and a thread does the rest; it does it also while the main thread hangs.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from relay.observe.logs import LastWords, log

__all__ = ["DRAIN_LIMIT_S", "Stopping", "stop_on_signals"]

DRAIN_LIMIT_S = 10.0
"""How long a stop waits for the broker's acknowledgements."""

HARD_LIMIT_S = DRAIN_LIMIT_S + 1.5
"""After this the process ends wherever it hangs (a frozen database).

What was in flight is sent again by the next.
"""

LAST_WORDS_S = 0.3
"""For a log that nobody reads. With it a stop takes less than 12 s whatever hangs."""

EX_TEMPFAIL = 75


class Stopping(threading.Event):
    """The whole process is to stop. A part of it can be stopped alone, by an event that follows."""

    def __init__(self) -> None:
        super().__init__()
        self._followers: set[threading.Event] = set()

    def set(self) -> None:
        """Stop all: also what begins at this moment."""
        super().set()
        for follower in tuple(self._followers):
            follower.set()

    @contextmanager
    def followed(self) -> Iterator[threading.Event]:
        """Gives an event that is set with this one, or by itself."""
        follower = threading.Event()
        self._followers.add(follower)
        # Added first, then looked at: whichever way the two cross, one of them sees the other.
        if self.is_set():
            follower.set()
        try:
            yield follower
        finally:
            self._followers.discard(follower)


def stop_on_signals(last_words: LastWords) -> Stopping:
    """An event that SIGTERM and SIGINT set.

    A second signal, or the hard limit, ends the process at once, after `last_words`.
    """
    stopping = Stopping()
    signals: SimpleQueue[int] = SimpleQueue()
    args = (signals, stopping, last_words)
    threading.Thread(target=_heed, args=args, name="signals", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: signals.put(number))
    return stopping


def _heed(signals: SimpleQueue[int], stopping: threading.Event, last_words: LastWords) -> None:
    signals.get()
    stopping.set()
    try:
        signals.get(timeout=HARD_LIMIT_S)
        log.warning("stopped_at_once", advice="what was in flight is sent again")
    except Empty:
        log.error(
            "stopped_hard",
            after_s=HARD_LIMIT_S,
            advice="nothing is lost; what was in flight is sent again",
        )
    last_words(LAST_WORDS_S)
    os._exit(EX_TEMPFAIL)
