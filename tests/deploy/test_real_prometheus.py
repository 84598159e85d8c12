"""A real Prometheus scrapes a real relay and evaluates our rules and dashboards on it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.deploy.rules import DASHBOARDS, RULE_FILES, filled, panels
from tests.support.kafka import Broker
from tests.support.processes import RelayProcess, StartRelay
from tests.support.scrape import ANYWHERE, asked, port_of
from tests.support.wait import until

_LISTENS = re.compile(r'msg="Listening on" address=127\.0\.0\.1:(\d+)')


class Prometheus:
    """One that scrapes a relay each second; made by the fixture `prometheus`."""

    def __init__(self, port: int) -> None:
        self._port = port

    def asks(self, what: str, **parameters: str) -> Any:
        """What its interface answers."""
        answer = asked(self._port, f"/api/v1/{what}?{urlencode(parameters)}")
        assert answer.status == 200, answer.text
        return json.loads(answer.text)["data"]

    def rules(self) -> list[dict[str, Any]]:
        """The rules that it evaluates."""
        return [rule for group in self.asks("rules")["groups"] for rule in group["rules"]]

    def figures(self, expression: str) -> list[str]:
        """The values of an expression, now."""
        return [one["value"][1] for one in self.asks("query", query=expression)["result"]]


@pytest.fixture
def relay(relay_process: StartRelay, database_url: str, mock_broker: Broker) -> RelayProcess:
    started = relay_process(database_url, mock_broker.bootstrap_servers, RELAY_HTTP=ANYWHERE)
    started.wait_for_log("leading")
    return started


@pytest.fixture
def prometheus(relay: RelayProcess, tmp_path: Path) -> Iterator[Prometheus]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no prometheus here (Debian: prometheus)")
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(file) for file in RULE_FILES],
        "scrape_configs": [
            {
                "job_name": "outbox-relay",
                "static_configs": [{"targets": [f"127.0.0.1:{port_of(relay)}"]}],
            }
        ],
    }
    (tmp_path / "prometheus.json").write_text(json.dumps(configuration))
    log = tmp_path / "prometheus.log"
    command = [
        program,
        f"--config.file={tmp_path / 'prometheus.json'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with log.open("wb") as output, subprocess.Popen(command, stderr=output) as process:
        try:
            listens = until(lambda: _LISTENS.search(log.read_text()), what="a port of Prometheus")
            assert listens
            port = int(listens[1])
            until(lambda: asked(port, "/-/ready").status == 200, what="Prometheus to be ready")
            yield Prometheus(port)
        finally:
            process.terminate()


def test_every_rule_is_evaluated_and_the_leader_is_seen(prometheus: Prometheus) -> None:
    until(lambda: prometheus.figures("job_outbox:outbox_leading:sum") == ["1"], what="a leader")
    until(lambda: all(one["lastEvaluation"] > "0002" for one in prometheus.rules()), what="rules")
    assert {one["name"]: one.get("lastError") for one in prometheus.rules() if _is_ill(one)} == {}


def test_a_relay_that_is_gone_is_noticed(prometheus: Prometheus, relay: RelayProcess) -> None:
    until(lambda: prometheus.figures("up") == ["1"], what="the relay")
    relay.kill()
    pending = 'ALERTS{alertname="OutboxRelaysDown",alertstate="pending"}'
    until(lambda: prometheus.figures(pending) == ["1"], what="the alert")


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_has_an_answer_in_each_panel_but_for_what_there_is_none_of(
    file: Path, prometheus: Prometheus
) -> None:
    until(lambda: prometheus.figures("rate(outbox_term[1m]) == 0"), what="two scrapes")
    until(lambda: prometheus.figures("job_outbox:outbox_leading:sum"), what="an evaluation")
    empty = {
        panel["title"]
        for panel in panels(file)
        if not any(prometheus.figures(filled(target["expr"])) for target in panel["targets"])
    }
    # Nothing was published, no transaction is open, and no event is kept.
    assert empty == {
        "Since the last acknowledgement",
        "Oldest open transaction",
        "Oldest event that is kept",
    }


def _is_ill(rule: dict[str, Any]) -> bool:
    return bool(rule["health"] != "ok")
