"""Which services a test run uses, what it says about them, and when it fails rather than skips."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from relay.demo import kafka_jars
from relay.demo.kept_process import ServiceFailed
from tests.support.containers import engine_missing_reason

REPOSITORY = Path(__file__).parents[2]
TWO_TESTS = """
import pytest

@pytest.mark.real_broker
def test_that_needs_a_real_broker(broker):
    pass

def test_that_takes_any_broker(broker):
    assert broker.bootstrap_servers
"""

pytestmark = pytest.mark.skipif(
    engine_missing_reason() is None, reason="with a container engine Java is not asked for"
)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without Java, Maven and cached jars, and the folder of its programs."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.delenv("TEST_KAFKA_BOOTSTRAP_SERVERS", raising=False)
    return programs


def install(programs: Path, name: str, script: str) -> None:
    program = programs / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def cached_jars(folder: Path) -> None:
    (folder / "cache" / "outbox-relay" / f"kafka-{kafka_jars.VERSION}").mkdir(parents=True)


def run_pytest(folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "test_two.py").write_text(TWO_TESTS)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = real_broker: needs a real broker\n")
    plugins = ["-p", "tests.support.kafka", "-p", "tests.support.services_report"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "test_two.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_java_the_mock_serves_and_the_rest_is_skipped_by_name(
    machine: Path, tmp_path: Path
) -> None:
    ran = run_pytest(tmp_path)
    assert ran.returncode == 0, ran.stdout
    assert "kafka: librdkafka's mock cluster (no Java 17 or newer" in ran.stdout
    assert "1 tests run, 1 skipped for want of a real broker" in ran.stdout
    assert "0 skipped for want of something else" in ran.stdout
    name = "test_two.py::test_that_needs_a_real_broker"
    assert f"  {name}: needs a real broker, and here is" in ran.stdout


def test_with_java_and_maven_a_broker_that_cannot_be_fetched_fails_the_run(
    machine: Path, tmp_path: Path
) -> None:
    install(machine, "java", "echo 'openjdk version \"21.0.1\"' >&2")
    install(machine, "mvn", "echo no such artifact; exit 1")
    ran = run_pytest(tmp_path)
    assert ran.returncode == 1
    assert "Java and Maven are there, but no Kafka: mvn ended with 1:" in ran.stdout
    assert "no such artifact" in ran.stdout


def test_with_java_and_the_jars_a_broker_that_does_not_start_fails_the_run(
    machine: Path, tmp_path: Path
) -> None:
    cached_jars(tmp_path)
    install(machine, "java", '[ "$1" = -version ] || exit 3; echo \'openjdk version "21.0.1"\' >&2')
    ran = run_pytest(tmp_path)
    assert ran.returncode == 1
    assert "ServiceFailed: java ended with 3" in ran.stdout
    assert "2 errors" in ran.stdout
    assert "0 skipped" in ran.stdout


def test_java_older_than_the_broker_needs_does_not_count(machine: Path) -> None:
    install(machine, "mvn", "exit 1")
    install(machine, "java", "echo 'openjdk version \"1.8.0_412\"' >&2")
    assert kafka_jars.unavailable_reason() == "no Java 17 or newer in JAVA_HOME or PATH"
    install(machine, "java", "echo 'openjdk version \"17.0.15\" 2025-04-15' >&2")
    assert kafka_jars.unavailable_reason() is None


def test_jars_of_an_earlier_time_do_without_maven(machine: Path, tmp_path: Path) -> None:
    install(machine, "java", "echo 'openjdk version \"17.0.15\" 2025-04-15' >&2")
    assert kafka_jars.unavailable_reason() == "no Maven in PATH to fetch the broker's jars with"
    cached_jars(tmp_path)
    assert kafka_jars.unavailable_reason() is None


def test_a_download_that_was_cut_short_leaves_nothing_that_looks_like_the_jars(
    machine: Path, tmp_path: Path
) -> None:
    half = "for part; do case $part in -DoutputDirectory=*) jars=${part#*=};; esac; done"
    half += "; /bin/mkdir -p $jars; echo half > $jars/kafka.jar; "
    install(machine, "mvn", half + "exit 1")
    with pytest.raises(ServiceFailed, match="mvn ended with 1"):
        kafka_jars.resolve_jars()
    assert list((tmp_path / "cache" / "outbox-relay").iterdir()) == []
    install(machine, "mvn", half + "exit 0")
    assert (kafka_jars.resolve_jars() / "kafka.jar").is_file()


def test_without_an_engine_the_reason_is_told() -> None:
    reason = engine_missing_reason()
    assert reason is not None
    assert reason.startswith("no container engine answers: ")
