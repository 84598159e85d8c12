"""What the runs do: real commands in processes of their own, some of which fail or never end."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Final, NamedTuple

from coordinator.domains.facade import RunStatus

# A tenth fails, a twentieth hangs; fixed by the run's number, so that every demo has some of each
# and two demos of one length do the same.
_FAIL_EVERY: Final = 10
_HANG_EVERY: Final = 20
_GOOD: Final = (
    "head -c 400000 /dev/zero | cksum",
    "seq 2000 | sort -rn | head -n 1",
    "ls /usr/bin | wc -l",
)
_FAILING: Final = (
    "echo 'quota used up' >&2; exit 3",
    "cat /no/such/file",
    "kill -s TERM $$",
)
_HANGING: Final = "while :; do sleep 1; done"
_MESSAGE_CHARS_MAX: Final = 500


class Ending(NamedTuple):
    """How a run's work ended, as `execute` wants to be told."""

    status: RunStatus
    error_code: str | None = None
    error_message: str | None = None


def do_work(number: int, pace_s: float) -> Ending:
    """Do the work of run `number`, and tell how it ended.

    Args:
        number: chooses the work.
        pace_s: how long a usual piece of work takes; three times that is the limit, and never less
            than 0.3 s.
    """
    limit_s = max(0.3, 3 * pace_s)
    # In a session of its own: what it started ends with it at the limit, and the terminal's Ctrl-C
    # leaves the ending to us.
    process = subprocess.Popen(
        ["/bin/sh", "-c", _script(number, pace_s)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _, complaint = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        return Ending(RunStatus.TIMED_OUT, "time-limit", f"not done in {limit_s:.1f} s")
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return _ending(process.returncode, complaint)


def _script(number: int, pace_s: float) -> str:
    if number % _HANG_EVERY == _HANG_EVERY // 2:
        return _HANGING
    # Longer and shorter than the usual, so that the runs do not commit in step.
    waiting = f"sleep {pace_s * (0.5 + number * 7 % 10 / 10):.3f}; "
    if number % _FAIL_EVERY == _FAIL_EVERY // 3:
        return waiting + _FAILING[number // _FAIL_EVERY % len(_FAILING)]
    return waiting + _GOOD[number % len(_GOOD)]


def _ending(code: int, complaint: bytes) -> Ending:
    if code == 0:
        return Ending(RunStatus.SUCCEEDED)
    error_code = f"exit-{code}" if code > 0 else f"signal-{-code}"
    words = complaint.decode(errors="replace").replace("\0", "").strip()
    return Ending(RunStatus.FAILED, error_code, words[-_MESSAGE_CHARS_MAX:] or None)
