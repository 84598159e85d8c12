"""A server that cannot outlive the process that started it, whatever ends that process.

The naive version stops the server in `finally` or `atexit`; kill -9 of the parent then leaves a
PostgreSQL or a Java behind for ever. A death signal of the kernel is no way out: Linux sends it
when the starting *thread* ends.

Here a watcher holds the reading end of a pipe whose writing end only the parent has. It is forked
by a shell that then becomes the server (`exec`), so the process id of the child is the server's
own. What comes through the pipe:

    a byte arrives      the parent took over the stopping: the watcher leaves without a signal
    end of file         the parent is gone: SIGTERM, then SIGKILL, then the scratch folder goes
    nothing             all is well

The byte matters: a watcher that saw only the end of file could signal a process id that was given
out again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Final, Self, TypedDict

# SIGCONT: a server suspended by a test would keep the SIGTERM waiting for ever.
_WATCH_THEN_BECOME_THE_SERVER: Final = """
stop_signal=$1 scratch=$2; shift 2
exec 3<&0 </dev/null
(
    read -r released <&3 && exit 0
    kill -s "$stop_signal" $$; kill -s CONT $$
    rounds=0
    while kill -s 0 $$ && [ $rounds -lt 100 ]; do sleep 0.1; rounds=$((rounds + 1)); done
    kill -s KILL $$
    [ -z "$scratch" ] || rm -rf -- "$scratch"
) 2>/dev/null &
exec 3<&-
exec "$@"
"""

_POLL_S: Final = 0.02
_LOG_TAIL_BYTES: Final = 4_000
_STOP_TIMEOUT_S: Final = 15.0


class ServiceFailed(RuntimeError):
    """A service did not start. Carries the end of its log, as nothing else tells the reason."""


class RunAs(TypedDict):
    """Arguments of `subprocess` that drop root, with its groups; None changes nothing."""

    user: int | None
    group: int | None
    extra_groups: list[int] | None


AS_OURSELVES: Final = RunAs(user=None, group=None, extra_groups=None)


class KeptProcess:
    """A child process in a session of its own, so that the terminal's Ctrl-C does not reach it.

    Args:
        command: program and arguments.
        log: file that takes stdout and stderr. Never a pipe: a server hands it on to its own
            children, and whoever reads to the end then waits for all of them.
        run_as: the user who runs it.
        stop_signal: name without SIG of the signal that asks this server to end.
        scratch: folder to remove if the parent is killed; that user must be able to.
        environment: all of the server's environment, or None to inherit.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        run_as: RunAs = AS_OURSELVES,
        stop_signal: str = "TERM",
        scratch: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        self._name = Path(command[0]).name
        self._stop_signal = signal.Signals[f"SIG{stop_signal}"]
        shell = ["/bin/sh", "-c", _WATCH_THEN_BECOME_THE_SERVER, "sh"]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*shell, stop_signal, str(scratch or ""), *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
                env=environment,
                **run_as,
            )

    @property
    def pid(self) -> int:
        """The process id of the server itself."""
        return self._process.pid

    def running(self) -> bool:
        """Whether the server has not ended yet."""
        if self._process.poll() is None:
            return True
        # Its process id may now be given to another process: the watcher must not outlive it.
        self._release_watcher()
        return False

    def until_ready(self, ready: Callable[[], bool], timeout_s: float) -> Self:
        """Wait until `ready()` is true, and give up at once when the server ends.

        Raises:
            ServiceFailed: the server ended, or was not ready in time. It is stopped then.
        """
        deadline = monotonic() + timeout_s
        while not ready():
            if not self.running():
                code = self.stop()
                raise ServiceFailed(f"{self._name} ended with {code}:\n{self.log_tail()}")
            if monotonic() > deadline:
                self.stop()
                late = f"{self._name} not ready in {timeout_s:g} s"
                raise ServiceFailed(f"{late}:\n{self.log_tail()}")
            threading.Event().wait(_POLL_S)
        return self

    def send_signal(self, number: signal.Signals) -> None:
        """Signal the server. Does nothing once it has ended."""
        self._process.send_signal(number)

    def suspend(self) -> None:
        """Freeze the server; once this returns, none of its threads runs. It must not have ended.

        A signal is only sent when kill() returns: a busy server may answer once more before it
        heeds it.
        """
        self.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def stop(self, number: signal.Signals | None = None, timeout_s: float = _STOP_TIMEOUT_S) -> int:
        """Ask the server to end, by `number` or its usual signal; kill it after `timeout_s`.

        Returns:
            The exit code, negative for a signal. Safe to call again.
        """
        self._release_watcher()
        self.send_signal(number or self._stop_signal)
        self.send_signal(signal.SIGCONT)
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.send_signal(signal.SIGKILL)
            return self._process.wait()

    def log_tail(self) -> str:
        """The end of the server's output."""
        return self.log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")

    def _release_watcher(self) -> None:
        pipe = self._process.stdin
        if pipe is not None and not pipe.closed:
            with contextlib.suppress(BrokenPipeError), pipe:
                pipe.write(b"\n")
