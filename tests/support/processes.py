"""The relay as its users run it: a process of its own, that can be killed, suspended and read."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.support.wait import until

LogLine = dict[str, Any]


class RelayProcess:
    """One relay, whose log goes to a file. Made by the fixture `relay_process`."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs, negative for the signal that ended it."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask for a clean stop (SIGTERM)."""
        self._process.terminate()

    def kill(self) -> None:
        """Crash it (SIGKILL), and wait until it is gone."""
        self._process.kill()
        self._process.wait()

    def suspend(self) -> None:
        """Freeze it (SIGSTOP), as a paused virtual machine does."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `suspend`, unaware of the time between."""
        self._process.send_signal(signal.SIGCONT)

    def wait(self, timeout: float = 30.0) -> int:
        """Wait for its end and return the exit code.

        Raises:
            AssertionError: it runs on after `timeout` seconds; shows its log.
        """
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"the relay runs on after {timeout:g} s:\n{self.log_text()}"
            ) from None

    def log_text(self) -> str:
        """All of its output, as it stands."""
        return self.log.read_text(errors="replace")

    def log_lines(self) -> list[LogLine]:
        """The lines of its log that are complete JSON objects."""
        found = []
        for line in self.log_text().splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n"):
                with contextlib.suppress(json.JSONDecodeError):
                    found.append(json.loads(line))
        return found

    def wait_for_log(self, event: str, timeout: float = 30.0, **fields: object) -> LogLine:
        """Wait for the first log line with this event and these fields, and return it.

        Raises:
            AssertionError: it ended without, or `timeout` seconds passed; shows its log.
        """

        def matching() -> LogLine | None:
            ended = self.exit_code is not None  # asked first: what it said last is then in the file
            for line in self.log_lines():
                if line.get("event") == event and fields.items() <= line.items():
                    return line
            assert not ended, (
                f"the relay ended with {self.exit_code} without {event!r}:\n{self.log_text()}"
            )
            return None

        try:
            line = until(matching, timeout_s=timeout, what=f"{event!r} {fields or ''}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log_text()}") from None
        assert line is not None
        return line

    def close(self) -> None:
        """End it however it stands: running, suspended or gone."""
        self._process.kill()
        self._process.wait()


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not waited for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return b"\nState:\tZ" not in Path(f"/proc/{pid}/status").read_bytes()


Databases = str | Mapping[str, str]
"""The URL of the only one, or of several outboxes by their names."""


def environment(databases: Databases, bootstrap_servers: str, **env: str) -> dict[str, str]:
    """What a relay under test is configured with: nothing of the developer's own settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    by_variable = (
        {"RELAY_DATABASE_URL": databases}
        if isinstance(databases, str)
        else {f"RELAY_OUTBOX_{one.upper()}_DATABASE_URL": url for one, url in databases.items()}
    )
    # Who gives services to the tests may have them on other machines.
    given = any(map(os.environ.get, ("TEST_DATABASE_URL", "TEST_KAFKA_BOOTSTRAP_SERVERS")))
    services = {
        **by_variable,
        **({"RELAY_PLAINTEXT": "yes"} if given else {}),
        "RELAY_KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "RELAY_SOURCE": "/test",
        # Else tests that run side by side would meet at the default port.
        "RELAY_HTTP": "",
    }
    return {**inherited, **services, **env}


class StartRelay(Protocol):
    """Starts `relay run ARGS...` on these services; keyword arguments are environment variables."""

    def __call__(
        self, databases: Databases, bootstrap_servers: str, *args: str, **env: str
    ) -> RelayProcess: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kills", type=int, default=10, help="how often F02 kills a relay that publishes once"
    )


@pytest.fixture
def relay_process(tmp_path: Path) -> Iterator[StartRelay]:
    """Starts relays. All are ended by process id afterwards, and what they said stands in the
    test's report."""
    started: list[RelayProcess] = []

    def start(databases: Databases, bootstrap_servers: str, *args: str, **env: str) -> RelayProcess:
        command = [sys.executable, "-m", "relay.cli.main", "run", *args]
        log = tmp_path / f"relay-{len(started) + 1}.log"
        started.append(RelayProcess(command, environment(databases, bootstrap_servers, **env), log))
        return started[-1]

    yield start
    for process in started:
        process.close()
        sys.stdout.write(
            f"--- {process.log.name}, exit code {process.exit_code}\n{process.log_text()}\n"
        )
