"""The unit file agrees with the relay that it runs."""

from __future__ import annotations

import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from relay.daemon.shutdown import HARD_LIMIT_S
from relay.errors import BadConfiguration, SchemaMismatch, UnsafeDatabase

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "outbox-relay.service"


@pytest.fixture
def service() -> dict[str, str]:
    """The settings of its service section."""
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[method-assign, assignment]  # systemd's names have capitals
    parser.read_string(UNIT.read_text())
    return dict(parser["Service"])


def test_systemd_does_not_restart_what_a_restart_cannot_heal(service: dict[str, str]) -> None:
    not_restarted = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert {
        e.exit_code for e in (BadConfiguration, SchemaMismatch, UnsafeDatabase)
    } == not_restarted
    assert service["Restart"] == "always"


def test_systemd_waits_longer_for_a_stop_than_the_relay_ever_takes(service: dict[str, str]) -> None:
    assert int(service["TimeoutStopSec"]) > HARD_LIMIT_S


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_finds_no_setting_that_it_does_not_know() -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True, check=False
    )
    assert "Unknown" not in done.stderr
