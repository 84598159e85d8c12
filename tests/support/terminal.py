"""A command on a terminal of a given width, as a person sees it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from select import select

from tests.support.wait import until

__all__ = ["HEEDING_CTRL_C", "Seen", "on_a_terminal"]

HEEDING_CTRL_C = [
    sys.executable,
    "-c",
    (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from relay.cli.main import main; main(prog_name='relay')"
    ),
]
"""`relay`. A shell that runs the tests in the background has SIGINT ignored, and its children
inherit that."""

_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_FRAME = "\x1b[H"


@dataclass(frozen=True)
class Seen:
    """All that came, and how it ended."""

    exit_code: int
    raw: str

    @property
    def last(self) -> str:
        """The last frame, without what only moves the cursor or colours."""
        return _SEQUENCE.sub("", self.raw.split(_FRAME)[-1])

    @property
    def widest(self) -> int:
        """Columns of the longest line of all frames."""
        return max(map(len, _SEQUENCE.sub("", self.raw).splitlines()), default=0)


def on_a_terminal(
    *args: str,
    columns: int,
    environment: Mapping[str, str],
    stop: Callable[[str], bool] = lambda _: False,
) -> Seen:
    """Run `relay ARGS...`; Ctrl-C once `stop` says so of all that came until then."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    # COLUMNS and LINES would win over the size of the terminal.
    told = {name: one for name, one in environment.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [*HEEDING_CTRL_C, *args],
        env={**told, "TERM": "xterm-256color"},
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    came, asked = bytearray(), list[bool]()

    def ended() -> bool:
        if select([ours], [], [], 0.1)[0]:
            try:
                came.extend(os.read(ours, 65_536))
            except OSError:  # EIO: the other end was closed
                return True
        if not asked and stop(came.decode(errors="replace")):
            asked.append(True)
            process.send_signal(signal.SIGINT)
        return False

    try:
        until(ended, timeout_s=60, what=f"the end of relay {' '.join(args)}")
        return Seen(process.wait(10), came.decode().replace("\r\n", "\n"))
    finally:
        process.kill()
        process.wait()
        os.close(ours)
