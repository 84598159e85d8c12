"""The unit file agrees with the relay that it runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from relay.core.pacing import SLEEP_S_MAX
from relay.daemon.shutdown import HARD_LIMIT_S
from relay.errors import BadConfiguration, SchemaMismatch, UnsafeDatabase
from relay.observe.systemd import ASKED_IN_A_WATCHDOG, WITHOUT_WATCHDOG_S

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "outbox-relay.service"

needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze here"
)


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


def test_systemd_is_told_by_the_relay_and_asks_for_its_progress(service: dict[str, str]) -> None:
    assert service["Type"] == "notify"
    # Longest silences that are no hang: a look while it sleeps, and names that are slow to resolve.
    assert int(service["WatchdogSec"]) * 2 / ASKED_IN_A_WATCHDOG > SLEEP_S_MAX + 30
    assert int(service["TimeoutStartSec"]) >= WITHOUT_WATCHDOG_S


def test_its_secrets_are_credentials(service: dict[str, str]) -> None:
    credential, _, path = service["LoadCredential"].partition(":")
    assert service["Environment"] == f"RELAY_DATABASE_URL_FILE=%d/{credential}"
    assert path.endswith(credential)


@needs_analyze
def test_systemd_rates_its_exposure_at_1_5_at_most() -> None:
    said = analyze("security", "--offline=true")
    (exposure,) = re.findall(r"Overall exposure level for .*: ([0-9.]+) ", said)
    assert float(exposure) <= 1.5


@needs_analyze
def test_systemd_finds_no_setting_that_it_does_not_know() -> None:
    assert "Unknown" not in analyze("verify")


def analyze(*command: str) -> str:
    """What systemd-analyze says on either stream."""
    done = subprocess.run(
        ["systemd-analyze", *command, str(UNIT)], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr
