"""What a test can see of a relay's process, shown on small programs in its place."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.processes import RelayProcess, alive, environment
from tests.support.wait import until

Run = Callable[[str], RelayProcess]
SPEAK = 'import json, signal; print("not JSON"); '
SPEAK += 'print(json.dumps({"event": "leading", "term": 3}), flush=True); '


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    started: list[RelayProcess] = []

    def start(code: str) -> RelayProcess:
        started.append(RelayProcess([sys.executable, "-c", code], {}, tmp_path / "log"))
        return started[-1]

    yield start
    for process in started:
        process.close()


def test_a_log_line_is_waited_for_by_event_and_fields(run: Run) -> None:
    process = run(SPEAK + "signal.pause()")
    assert process.wait_for_log("leading", term=3) == {"event": "leading", "term": 3}
    assert process.log_lines() == [{"event": "leading", "term": 3}]
    with pytest.raises(AssertionError, match=r"waited 0\.1 s for 'leading'"):
        process.wait_for_log("leading", timeout=0.1, term=4)


def test_waiting_for_a_line_ends_when_the_process_does(run: Run) -> None:
    process = run(SPEAK + "raise SystemExit(78)")
    with pytest.raises(AssertionError, match=r"ended with 78 without 'stopped'[^$]*not JSON"):
        process.wait_for_log("stopped")


def test_its_exit_code_is_told_and_a_kill_is_seen(run: Run) -> None:
    assert run("raise SystemExit(75)").wait() == 75
    process = run("import signal; signal.pause()")
    process.kill()
    assert process.exit_code == -signal.SIGKILL
    assert not alive(process.pid)


def test_a_process_that_runs_on_is_told_with_its_log(run: Run) -> None:
    process = run(SPEAK + "signal.pause()")
    process.wait_for_log("leading")
    with pytest.raises(AssertionError, match=r"runs on after 0\.1 s:\nnot JSON"):
        process.wait(0.1)


def test_a_suspended_process_does_nothing_until_it_is_resumed(run: Run) -> None:
    process = run(SPEAK + "signal.pause()")
    process.wait_for_log("leading")
    process.suspend()
    status = Path(f"/proc/{process.pid}/status")
    until(lambda: "State:\tT" in status.read_text(), what="the process to be stopped")
    process.terminate()
    assert process.exit_code is None
    process.resume()
    assert process.wait() == -signal.SIGTERM


def test_the_developers_own_settings_do_not_reach_a_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_KAFKA_ACKS", "0")
    monkeypatch.setenv("LANG", "C.UTF-8")
    given = environment("postgresql://x", "127.0.0.1:1", RELAY_SOURCE="/mine")
    assert "RELAY_KAFKA_ACKS" not in given
    assert given["LANG"] == "C.UTF-8"
    assert given["RELAY_DATABASE_URL"] == "postgresql://x"
    assert given["RELAY_SOURCE"] == "/mine"
