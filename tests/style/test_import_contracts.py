"""The import contracts of pyproject.toml can fail: each catches an import planted against it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.style.rules import ROOT

# A contract's id, where the import is planted, and the import.
PLANTED = [
    ("relay-layers", "relay/core/window.py", "import relay.postgres.source"),
    ("relay-layers", "relay/kafka/sink.py", "import relay.postgres.source"),
    ("relay-layers", "relay/errors.py", "import relay.core"),
    ("relay-layers", "relay/elsewhere.py", "x = 1"),
    ("coordinator-layers", "coordinator/outbox/table.py", "import coordinator.runs.completion"),
    ("coordinator-layers", "coordinator/engine/retry.py", "import coordinator.domains.trace"),
    ("writer-side-is-light", "coordinator/event.py", "import confluent_kafka"),
    ("writer-side-is-light", "coordinator/event.py", "import relay.core"),
    ("consumer-loop-is-a-door", "coordinator/inbox/once.py", "import coordinator.inbox.consumer"),
    ("registry-is-an-extra", "coordinator/event.py", "import coordinator.outbox.schema_registry"),
    ("core-is-pure", "relay/core/lease.py", "import time"),
    ("core-is-pure", "relay/core/lease.py", "import psycopg"),
    ("shared-values", "relay/kafka/sink.py", "import coordinator.runs.completion"),
    ("shared-values", "relay/cli/recover.py", "import coordinator.engine.recover"),
    ("shared-values", "relay/errors.py", "import coordinator.event"),
    ("click-in-the-cli", "relay/daemon/pump.py", "import click"),
    ("kafka-behind-its-port", "relay/daemon/pump.py", "import confluent_kafka"),
    ("postgres-behind-its-port", "relay/kafka/sink.py", "import psycopg"),
]

SOUND = {
    "coordinator/event.py": "x = 1",
    "coordinator/outbox/table.py": "import sqlalchemy",
    "coordinator/engine/recover.py": "x = 1",
    "coordinator/outbox/schema_registry.py": "import confluent_kafka",
    "coordinator/engine/retry.py": "import coordinator.outbox.table",
    "coordinator/domains/trace.py": "import coordinator.event",
    "coordinator/inbox/consumer.py": "import confluent_kafka",
    "coordinator/runs/completion.py": "import coordinator.engine.retry",
    "relay/core/window.py": "import dataclasses",
    "relay/postgres/source.py": "import psycopg, relay.core.window, coordinator.outbox.table",
    "relay/kafka/sink.py": "import confluent_kafka, relay.core.window, coordinator.event",
    "relay/daemon/pump.py": "import relay.kafka.sink, relay.postgres.source, time",
    "relay/admin/recover.py": "import coordinator.engine.recover",
    "relay/demo/scene.py": "import rich, coordinator.runs.completion, relay.daemon.pump",
    "relay/cli/main.py": "import click, relay.demo.scene",
}


def test_a_sound_project_keeps_every_contract(tmp_path: Path) -> None:
    kept = lint(tmp_path, SOUND)

    assert kept.returncode == 0, kept.stdout


@pytest.mark.parametrize(
    ("contract", "path", "planted"), PLANTED, ids=[f"{one[0]}: {one[1]}" for one in PLANTED]
)
def test_a_planted_import_breaks_the_contract(
    tmp_path: Path, contract: str, path: str, planted: str
) -> None:
    broken = lint(tmp_path, {**SOUND, path: planted}, "--contract", contract)

    assert broken.returncode == 1
    assert "BROKEN" in broken.stdout, broken.stdout


def lint(folder: Path, modules: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    for path, text in modules.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text + "\n")
    for package in ("coordinator", "relay"):
        for inner in [folder / package, *(folder / package).iterdir()]:
            if inner.is_dir():
                (inner / "__init__.py").touch()
    run = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", run, "--no-cache", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
