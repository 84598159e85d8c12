"""Stopping.

The first signal lets what is in flight finish, the second does not, and neither takes for ever.

A Python handler runs in the main thread, when that next runs Python. The kernel may give the signal
to another thread, and does so with the second of two that come together; the main thread, asleep on
a lock, then does not wake, and the signal is heeded minutes later or never. So nothing is left to
the handlers: the interpreter's part in C, which runs in whichever thread it hits, writes each
number into a socket (`signal.set_wakeup_fd`), and a thread reads there, also while the main thread
hangs.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from relay.observe.logs import LastWords, log

__all__ = ["DRAIN_LIMIT_S", "HARD_LIMIT_S", "LAST_WORDS_S", "Stopping", "stop_on_signals"]

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
    arrivals, waker = socket.socketpair()
    waker.setblocking(False)
    args = (arrivals, waker, stopping, last_words)
    threading.Thread(target=_heed, args=args, name="signals", daemon=True).start()
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)  # instead of the default: dying of it
    return stopping


def _heed(
    arrivals: socket.socket,
    waker: socket.socket,  # kept here: collected, its number could become another file's
    stopping: threading.Event,
    last_words: LastWords,
) -> None:
    arrivals.recv(1)
    stopping.set()
    arrivals.settimeout(HARD_LIMIT_S)
    try:
        arrivals.recv(1)
        log.warning("stopped_at_once", advice="what was in flight is sent again")
    except TimeoutError:
        log.error(
            "stopped_hard",
            after_s=HARD_LIMIT_S,
            advice="nothing is lost; what was in flight is sent again",
        )
    last_words(LAST_WORDS_S)
    os._exit(EX_TEMPFAIL)
