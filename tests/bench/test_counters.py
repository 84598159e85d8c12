"""What a measured process costs is that process's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from relay.bench.counters import Run, measure
from relay.errors import RelayError


def run(module: str, folder: Path) -> Run:
    (folder / "measured.py").write_text(module)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return measure(["measured"], environment, tick=lambda: None)


DRAINED = """
print('{"event": "leading", "timestamp": "2026-01-01T00:00:01.250000Z"}')
print("not of the log")
print('{"event": "drained", "timestamp": "2026-01-01T00:00:03.500000Z", "events": 7}')
"""


def test_seconds_are_those_between_leading_and_drained(tmp_path: Path) -> None:
    found = run(DRAINED, tmp_path)
    assert (found.seconds, found.events) == (2.25, 7)


def test_peak_memory_is_not_that_of_the_process_which_measures(tmp_path: Path) -> None:
    ballast = bytearray(os.urandom(1 << 20) * 300)
    found = run(DRAINED, tmp_path)
    assert len(ballast) == 300 << 20
    assert found.peak_mb < 100


def test_peak_memory_is_the_highest_there_was(tmp_path: Path) -> None:
    found = run("import os\nx = os.urandom(1 << 20) * 300\ndel x\n" + DRAINED, tmp_path)
    assert found.peak_mb > 300


def test_cpu_is_what_the_process_used(tmp_path: Path) -> None:
    idle = run(DRAINED, tmp_path)
    work = "import time\nwhile time.process_time() < 1.0: pass\n"
    busy = run(work + DRAINED, tmp_path)
    assert busy.cpu_seconds >= 1.0 > idle.cpu_seconds


def test_a_process_that_fails_gives_no_figures_and_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(RelayError, match="the reason"):
        run(DRAINED + "raise SystemExit('the reason')", tmp_path)


def test_a_process_that_drained_nothing_gives_no_figures(tmp_path: Path) -> None:
    with pytest.raises(RelayError):
        run("", tmp_path)
