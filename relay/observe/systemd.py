"""systemd is told how the relay is: sd_notify(3), a datagram of lines to $NOTIFY_SOCKET.

    READY=1                 it stands by or leads, for the first time
    STATUS=...              what it does, for `systemctl status`
    WATCHDOG=1              every loop has got on since the last one
    EXTEND_TIMEOUT_USEC=... while it starts: it waits for the database, and is alive
                            while it stops: what is in flight may take so long
    STOPPING=1              it was asked to stop

Naive: a timer sends WATCHDOG=1. It goes on when the publishing loop hangs, which is what a watchdog
is for. Here the timer only asks, and the loops answer (vitals.py): one that stood still since the
last time is not vouched for. Three questions fit into the watchdog's time, so silence of two thirds
of it is borne: a name server that does not answer takes 30 s to say so.

A database that is away at the start is waited for as long as it takes: each question extends the
time to start, so no `TimeoutStartSec` ends the relay, while one that hangs then is ended.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from relay.observe.vitals import AllVitals

__all__ = ["ASKED_IN_A_WATCHDOG", "WITHOUT_WATCHDOG_S", "Notifier", "keep_told"]

ASKED_IN_A_WATCHDOG = 3
WITHOUT_WATCHDOG_S = 60.0
SEND_TIMEOUT_S = 1.0


class Notifier:
    """The socket of the service manager; says nothing where there is none."""

    def __init__(self, address: str) -> None:
        """`address` as in NOTIFY_SOCKET: a path, or @name of an abstract socket; or empty."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if self._address.startswith(("/", "\0")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.settimeout(SEND_TIMEOUT_S)

    def __bool__(self) -> bool:
        return self._socket is not None

    def tell(self, **fields: str | int) -> None:
        """Send all fields at once. A manager that does not listen is no reason to fail."""
        if self._socket is not None:
            lines = "\n".join(f"{name}={value}" for name, value in fields.items())
            with suppress(OSError):
                self._socket.sendto(lines.encode(), self._address)


def keep_told(
    notifier: Notifier,
    vitals: AllVitals,
    stopping: threading.Event,
    *,
    watchdog_s: float | None,
    stop_limit_s: float,
) -> None:
    """Tell, from a thread of its own, until the process ends.

    `watchdog_s`: within what time the manager wants to hear of progress, None if it does not ask;
    `stop_limit_s`: a stop takes no longer. `vitals.changed` is set with `stopping` too.
    """
    if notifier:
        told = _Told(notifier, vitals, stopping, watchdog_s, stop_limit_s)
        threading.Thread(target=told.go_on, name="systemd", daemon=True).start()


class _Told:
    """What was said so far, so that nothing is said twice."""

    def __init__(
        self,
        notifier: Notifier,
        vitals: AllVitals,
        stopping: threading.Event,
        watchdog_s: float | None,
        stop_limit_s: float,
    ) -> None:
        self._notifier = notifier
        self._vitals = vitals
        self._stopping = stopping
        self._vouches = watchdog_s is not None
        self._patience_s = watchdog_s or WITHOUT_WATCHDOG_S
        self._stop_limit_s = stop_limit_s
        self._text = ""
        self._ready = False

    def go_on(self) -> None:
        while not self._stopping.is_set():
            news = self._vitals.changed.wait(self._patience_s / ASKED_IN_A_WATCHDOG)
            self._vitals.changed.clear()  # before the look: what changes after it sets it again
            if news:
                self._tell_news()
            # Also with news: outboxes that change hands all the time must not silence it.
            self._vouch()
        self._notifier.tell(
            STOPPING=1,
            STATUS="stopping: what is in flight is awaited",
            EXTEND_TIMEOUT_USEC=_usec(self._stop_limit_s),
        )

    def _tell_news(self) -> None:
        text, ready = self._vitals.text, self._vitals.ready
        if text and text != self._text:
            self._notifier.tell(STATUS=text)
            self._text = text
        if ready and not self._ready:
            self._notifier.tell(READY=1)
            self._ready = True

    def _vouch(self) -> None:
        if not self._vitals.beaten():
            return
        if not self._ready:
            self._notifier.tell(EXTEND_TIMEOUT_USEC=_usec(self._patience_s))
        elif self._vouches:
            self._notifier.tell(WATCHDOG=1)


def _usec(seconds: float) -> int:
    return round(seconds * 1_000_000)
