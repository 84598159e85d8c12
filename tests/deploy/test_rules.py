"""Rules and dashboards read only what a relay serves, and Prometheus takes them as they stand."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.fleet_of_two import WELL
from tests.deploy.manifests import DEPLOY
from tests.deploy.rules import (
    DASHBOARDS,
    RULE_FILES,
    alerts,
    dashboard,
    filled,
    metrics_of,
    panels,
    promtool,
    recorded,
    recorded_of,
    rules,
)
from tests.support.kafka import Broker
from tests.support.processes import StartRelay
from tests.support.scrape import ANYWHERE, scraped
from tests.support.wait import until

each_dashboard = pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)

OF_THE_PROCESS = {"up", "outbox_build_info"}
"""They have no label `outbox`."""

Names = set[str]

JOBS = re.compile(r'up\{job=~"([^"]+)"')


def test_prometheus_takes_the_rules() -> None:
    promtool("check", "rules", *map(str, RULE_FILES))


@pytest.fixture
def served(relay_process: StartRelay, database_url: str, mock_broker: Broker) -> Names:
    """The names of all series that a real leader serves once it has looked at the database."""
    relay = relay_process(database_url, mock_broker.bootstrap_servers, RELAY_HTTP=ANYWHERE)
    relay.wait_for_log("leading")

    def looked() -> Names:
        names = {name for name, _ in scraped(relay)}
        return names if "outbox_pending_events" in names else set()

    return until(looked, what="the first look")


def test_rules_and_the_worlds_that_try_them_read_only_what_a_relay_serves(served: Names) -> None:
    read = {metric for rule in rules() for metric in metrics_of(rule["expr"])}
    assert {"up", "outbox_leading"} <= read
    assert (read | set(WELL)) - served == {"up"}


def test_rules_read_no_recorded_metric_that_none_records() -> None:
    assert {name for rule in rules() for name in recorded_of(rule["expr"])} <= recorded()


def test_each_alert_wakes_somebody_or_waits_for_the_morning() -> None:
    for name, alert in alerts().items():
        assert alert["labels"].keys() == {"severity"}, name
        assert alert["labels"]["severity"] in ("page", "ticket"), name
        assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}, name


def test_the_jobs_that_rules_look_for_are_those_that_we_set_up() -> None:
    (looked_for,) = {job for rule in rules() for job in JOBS.findall(rule["expr"])}
    scraped = yaml.safe_load((DEPLOY / "compose" / "prometheus.yaml").read_text())
    names = [one["job_name"] for one in scraped["scrape_configs"]]
    monitor = yaml.safe_load((DEPLOY / "kubernetes" / "base" / "podmonitor.yaml").read_text())
    names.append(f"production/{monitor['metadata']['name']}")
    assert [name for name in names if not re.fullmatch(looked_for, name)] == []


def test_compose_mounts_rules_and_dashboards() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    mounted = {
        volume.split(":")[0] for one in services.values() for volume in one.get("volumes", ())
    }
    assert {f"./{file.parent.relative_to(DEPLOY)}" for file in RULE_FILES + DASHBOARDS} <= mounted


def test_the_command_of_the_runbook_makes_a_prometheus_rule_of_them(tmp_path: Path) -> None:
    runbook = (DEPLOY / "runbook.md").read_text()
    (command,) = re.findall(r"```sh\n(for file in .*?)```", runbook, re.DOTALL)
    shown = command.replace("kubectl -n monitoring apply -f -", f"cat >> {tmp_path}/made.yaml")
    assert shown != command
    subprocess.run(["sh", "-ec", shown], cwd=DEPLOY.parent, check=True)
    made = list(yaml.safe_load_all((tmp_path / "made.yaml").read_text()))
    assert [one["kind"] for one in made] == ["PrometheusRule"] * len(RULE_FILES)
    assert [one["spec"] for one in made] == [yaml.safe_load(f.read_text()) for f in RULE_FILES]


@each_dashboard
def test_prometheus_parses_each_expression(file: Path, tmp_path: Path) -> None:
    found = [
        {"record": f"panel:{panel['id']}:{number}", "expr": filled(target["expr"])}
        for panel in panels(file)
        for number, target in enumerate(panel["targets"])
    ]
    assert len(found) > 20
    parsed = tmp_path / "panels.yaml"
    parsed.write_text(json.dumps({"groups": [{"name": "panels", "rules": found}]}))
    promtool("check", "rules", str(parsed))


@each_dashboard
def test_a_dashboard_reads_only_what_rules_record(file: Path) -> None:
    assert {one for target in targets(file) for one in recorded_of(target["expr"])} <= recorded()


@each_dashboard
def test_a_dashboard_and_its_rules_show_what_a_relay_serves_and_nothing_else(
    file: Path, served: Names
) -> None:
    read = {metric for target in targets(file) for metric in metrics_of(target["expr"])}
    by_rules = {metric for rule in rules() for metric in metrics_of(rule["expr"])}
    not_shown = {name for name in served if name.endswith(("_sum", "_count"))}
    assert read - served == {"up"}
    assert served - read - by_rules == not_shown


@each_dashboard
def test_each_panel_has_a_unit_and_says_what_it_shows(file: Path) -> None:
    for panel in panels(file):
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["description"], panel["title"]
    every = dashboard(file)["panels"]
    assert len({panel["id"] for panel in every}) == len(every)


@each_dashboard
def test_each_figure_is_of_the_chosen_jobs_and_outboxes(file: Path) -> None:
    variables = {one["name"]: one for one in dashboard(file)["templating"]["list"]}
    # The label is absent where there is one outbox only, and Grafana then has none to list.
    assert variables["outbox"]["allValue"] == variables["job"]["allValue"] == ".*"
    for target in targets(file):
        for selector in re.findall(r"[\w:]+\{[^}]*\}", target["expr"]):
            name, _, chosen = selector.partition("{")
            assert 'job=~"$job"' in chosen, selector
            assert name in OF_THE_PROCESS or 'outbox=~"$outbox"' in chosen, selector


@each_dashboard
def test_no_metric_stands_there_without_its_selector(file: Path) -> None:
    for target in targets(file):
        bare = re.sub(r"[\w:]+\{[^}]*\}", "", target["expr"])
        assert metrics_of(bare) | recorded_of(bare) == set(), target["expr"]


def targets(file: Path) -> list[dict[str, Any]]:
    return [target for panel in panels(file) for target in panel["targets"]]
