"""The image and what compose makes of it: linted, and checked against the relay. Nothing is run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from relay.daemon.shutdown import HARD_LIMIT_S
from tests.deploy.manifests import DEPLOY, unknown

DOCKERFILE = DEPLOY / "Dockerfile"
COMPOSE = DEPLOY / "compose.yaml"
LAST_STAGE = DOCKERFILE.read_text().rpartition("\nFROM ")[2]


@pytest.fixture
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("no hadolint for this platform")
    done = subprocess.run([program, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_compose_file_keeps_to_the_specification() -> None:
    compose_spec = pytest.importorskip("compose_spec", reason="no compose-spec for this platform")
    # Its merges are done here, and the variables of a shell are put in.
    plain = re.sub(r"\$\{(\w+)[^}]*\}", "given", COMPOSE.read_text())
    merged = yaml.safe_dump(yaml.safe_load(plain))
    compose_spec.PyCompose.from_yaml(merged).validate()


def test_the_image_runs_as_a_number_that_is_not_roots() -> None:
    (user,) = re.findall(r"^USER (\d+):(\d+)$", LAST_STAGE, re.MULTILINE)
    assert "0" not in user


def test_no_build_tool_is_in_the_image() -> None:
    assert "hatchling" not in (DEPLOY / "requirements.lock").read_text()
    assert "hatchling" in (DEPLOY / "build.lock").read_text()
    assert "build.lock" not in LAST_STAGE
    assert "pip uninstall" in LAST_STAGE


def test_what_the_image_installs_is_what_the_tests_ran_on() -> None:
    tested = versions(DEPLOY.parent / "requirements.lock")
    for lock in (DEPLOY / "requirements.lock", DEPLOY / "build.lock"):
        assert versions(lock) <= tested


def test_two_relays_are_given_settings_that_they_read(services: dict[str, Any]) -> None:
    relays = [one for one in services.values() if one.get("image", "").startswith("outbox-relay")]
    assert len(relays) == 3, "two relays, and the migration"
    for one in relays:
        assert unknown(one["environment"]) == set()
        assert int(one["stop_grace_period"].removesuffix("s")) > HARD_LIMIT_S


def test_nothing_is_reachable_from_other_machines(services: dict[str, Any]) -> None:
    ports = [port for one in services.values() for port in one.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def versions(lock: Path) -> set[str]:
    return set(re.findall(r"^[a-z0-9._-]+==[^ ;\\]+", lock.read_text(), re.MULTILINE))
