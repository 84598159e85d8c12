"""What a process costs: seconds, CPU and memory, of that process and of nothing else.

Seconds are those between two lines of its log, `leading` and `drained`, so starting it does not
count; `drained` may say how many events were published between the two.

CPU and peak memory are the kernel's (`wait4`). The trap there: a process starts its life with the
peak of the one that forked it. The command that measures has loaded a database driver, a Kafka
client and a terminal library, and its peak would be reported as that of the relay. So between the
two stands this module as a program: small, and with nothing to do but to wait.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from relay.demo.kept_process import KeptProcess
from relay.errors import RelayError

__all__ = ["Run", "cpu_seconds", "measure"]

_POLL_S: Final = 0.1
_MAXRSS_PER_MB: Final = 1024 * 1024 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Run:
    """One process, from start to end.

    Attributes:
        seconds: from `leading` to `drained`.
        events: as many were published in that time; None if it does not say.
        cpu_seconds: user and system, the start included.
        peak_mb: the most physical memory it had, in MiB.
    """

    seconds: float
    events: int | None
    cpu_seconds: float
    peak_mb: float


def cpu_seconds(pid: int) -> float:
    """What a process that goes on has taken so far, user and system; in steps of 10 ms.

    Raises:
        RelayError: this system does not say (it has no /proc).
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        raise RelayError("the CPU time of another process is read from /proc") from None
    # Its name comes first, in parentheses, and may hold anything.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(
    arguments: list[str], environment: Mapping[str, str], tick: Callable[[], object]
) -> Run:
    """Run `python -m ARGUMENTS` to its end.

    Args:
        tick: called a few times a second while it runs.

    Raises:
        RelayError: it did not end with 0; with the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="outbox-relay-bench-") as folder:
        process = KeptProcess(
            [sys.executable, "-m", __name__, sys.executable, "-m", *arguments],
            log=Path(folder) / "log",
            scratch=Path(folder),
            environment=environment,
        )
        try:
            while process.running():
                tick()
                threading.Event().wait(_POLL_S)
        finally:
            code = process.stop()
        lines = {line["event"]: line for line in _log_lines(process.log) if "event" in line}
        if code or not {"leading", "drained", "usage"} <= lines.keys():
            raise RelayError(f"{arguments[0]} ended with {code}:\n{process.log_tail()}")
    return Run(
        seconds=_time(lines["drained"]) - _time(lines["leading"]),
        events=lines["drained"].get("events"),
        cpu_seconds=lines["usage"]["cpu_seconds"],
        peak_mb=lines["usage"]["peak_mb"],
    )


def _log_lines(log: Path) -> list[dict[str, Any]]:
    found = []
    for line in log.read_text(errors="replace").splitlines():
        with suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found


def _time(line: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(line["timestamp"]).timestamp()


def main() -> None:
    """Run the command of the arguments, and write what it cost as the last line of its log."""
    child = subprocess.Popen(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    _, status, usage = os.wait4(child.pid, 0)
    cost = {
        "event": "usage",
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / _MAXRSS_PER_MB,
    }
    sys.stdout.write(json.dumps(cost) + "\n")
    sys.exit(0 if status == 0 else 1)


if __name__ == "__main__":
    main()
