"""The rules for Prometheus and the dashboard, as they stand in deploy/, and promtool."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import DEPLOY

RULE_FILES = sorted((DEPLOY / "prometheus").glob("*.yaml"))
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))

Rule = dict[str, Any]
Group = dict[str, Any]
Panel = dict[str, Any]

_RECORDED = re.compile(r"\w+:[\w:]+")
_METRIC = re.compile(r"\b(?:outbox_\w+|up)\b")


def groups() -> Iterator[Group]:
    """Every group of rules, what is recorded first: alerts read it."""
    found = (group for file in RULE_FILES for group in yaml.safe_load(file.read_text())["groups"])
    yield from sorted(found, key=lambda group: "record" not in group["rules"][0])


def rules() -> Iterator[Rule]:
    """Every rule of every group."""
    for group in groups():
        yield from group["rules"]


def alerts() -> dict[str, Rule]:
    """The alerts by their names."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def recorded() -> set[str]:
    """The names that rules record."""
    return {rule["record"] for rule in rules() if "record" in rule}


def dashboard(file: Path) -> dict[str, Any]:
    """One dashboard."""
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def panels(file: Path) -> list[Panel]:
    """What shows something, rows left out."""
    return [panel for panel in dashboard(file)["panels"] if panel["type"] != "row"]


def metrics_of(expression: str) -> set[str]:
    """The metrics that it reads; those that rules record are left out."""
    return set(_METRIC.findall(_RECORDED.sub("", expression)))


def recorded_of(expression: str) -> set[str]:
    """The recorded metrics that it reads."""
    return set(_RECORDED.findall(expression))


def filled(expression: str) -> str:
    """An expression of a dashboard, with all jobs and outboxes chosen."""
    for variable, value in (("__rate_interval", "5m"), ("job", ".*"), ("outbox", ".*")):
        expression = expression.replace(f"${variable}", value)
    return expression


def promtool(*arguments: str) -> None:
    """Run it, and fail with what it says if it finds anything; skip where it is not installed."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("no promtool here (Debian: prometheus)")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
