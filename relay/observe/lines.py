"""Lines to a file descriptor that nobody may be reading, without ever waiting for it.

The naive log writes where it is called. Standard error is mostly a pipe, and a pipe holds 64 KiB:
when its reader hangs (a log collector, a terminal with its output stopped), the next line blocks
for ever, and with it the thread that publishes, while another thread goes on renewing the lease:
nothing is delivered, and no standby takes over.

So a line is put into a queue with a limit, and a thread of its own writes. When the queue is full
the line is dropped and counted, and the count is told as soon as the reader has caught up: a log
with a gap says so. What stands in the queue when the process ends is written first, for as long as
the caller has time.

The thread writes to the descriptor, past `sys.stderr`: blocked in there it would hold that object's
lock, and the interpreter, which flushes it at its end, would abort.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

__all__ = ["LINES_MAX", "LineWriter"]

LINES_MAX = 10_000
"""Lines of some 300 bytes: 3 MB. The relay writes less than one a second, whatever goes wrong."""


class LineWriter:
    """A logger for structlog, from its making to `close`. Safe between threads."""

    def __init__(self, descriptor: int, notice: Callable[[int], str]) -> None:
        """`notice` makes the line that tells how many were dropped."""
        self._descriptor = descriptor
        self._notice = notice
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Have it written, or dropped and counted when LINES_MAX wait; returns at once."""
        with self._changed:
            if len(self._lines) < LINES_MAX:
                self._lines.append(line)
            else:
                self._dropped += 1
            self._changed.notify()

    info = warning = error = put

    def close(self, limit_s: float) -> None:
        """Wait until all is written, `limit_s` at most; may be called again.

        When time runs out the descriptor leads nowhere from then on: the last words of whoever
        ends the process (a message, a traceback) would hang behind the lines.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(limit_s)
        if self._thread.is_alive():
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._descriptor)

    def _write_all(self) -> None:
        while line := self._next():
            # Where the reader is gone for good there is nobody to tell.
            with suppress(OSError):
                self._write(f"{line}\n".encode())

    def _next(self) -> str:
        """The next line, or how many were dropped once no line waits; empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._dropped or self._closing)
            if self._lines:
                return self._lines.popleft()
            dropped, self._dropped = self._dropped, 0
        return self._notice(dropped) if dropped else ""

    def _write(self, left: bytes) -> None:
        while left:
            # Whoever shares the pipe may have made it non-blocking.
            select.select([], [self._descriptor], [])
            left = left[os.write(self._descriptor, left) :]
