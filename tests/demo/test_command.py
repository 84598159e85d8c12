"""`relay demo` as a user runs it: the whole job, on services of its own or given ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from sqlalchemy import create_engine

from coordinator.runs.factory import create_transaction_coordinator
from relay.cli.main import main
from relay.demo.cast import Player
from relay.demo.kept_process import ServiceFailed
from tests.support.kafka import Broker
from tests.support.wait import until


def environment(**settings: str) -> dict[str, str]:
    # Colours are asked for, so that their absence means something.
    ours = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    return {**ours, "FORCE_COLOR": "1", **settings}


@contextmanager
def demo(*arguments: str, output: Path, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """A running `relay demo`, its output in a file."""
    # Ctrl-C is ignored by what a shell starts with `&`, and by all that this starts in turn.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "relay.cli.main", "demo", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment(**settings),
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def proof_of(output: Path) -> dict[str, Any]:
    proof: dict[str, Any] = json.loads(output.read_text().splitlines()[-1])
    return proof


def children_of(pid: int) -> set[int]:
    listed = subprocess.run(
        ["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    )
    pairs = (map(int, line.split()) for line in listed.stdout.splitlines())
    return {child for child, parent in pairs if parent == pid}


def complete_a_run_of_somebody_else(database_url: str) -> None:
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(database_url))
    create_transaction_coordinator(engine=engine).execute(
        run_id="r", tenant_id="somebody", run_status="failed", skip_events=True
    )
    engine.dispose()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_whole_job_holds_through_a_kill_in_the_middle(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with demo("--runs", "40", "--json", output=output) as process:
        assert process.wait(100) == 0, output.read_text()
    proof, text = proof_of(output), output.read_text()
    assert (proof["runs"], proof["committed"]) == (40, 40), text
    # 4 fail and 2 hang; a busy machine may let another run into its time limit.
    assert proof["incidents"] >= 6
    # Each run has 2 events, 32 have a trace's too, and each that did not succeed an incident's.
    events = 2 * 40 + 32 + proof["incidents"]
    assert (proof["events"], proof["published_unique"], proof["consumed_once"]) == (events,) * 3
    assert (proof["lost"], proof["phantoms"], proof["out_of_order"]) == (0, 0, 0)
    assert proof["duplicates"] == proof["duplicates_dropped"]
    assert proof["takeover_seconds"] > 0
    assert 0 < proof["latency_ms"]["p50"] <= proof["latency_ms"]["p99"]
    assert "kill -9 of the leader" in text
    assert "\x1b" not in text


def test_given_services_are_used_and_only_this_demos_runs_are_counted(
    tmp_path: Path, database_url: str, mock_broker: Broker
) -> None:
    output = tmp_path / "output"
    given = {
        "RELAY_DATABASE_URL": database_url,
        "RELAY_KAFKA_BOOTSTRAP_SERVERS": mock_broker.bootstrap_servers,
    }
    complete_a_run_of_somebody_else(database_url)
    with demo("--runs", "3", "--json", output=output, **given) as process:
        assert process.wait(100) == 0, output.read_text()
    proof = proof_of(output)
    assert (proof["runs"], proof["committed"]) == (3, 3)
    assert "RELAY_DATABASE_URL" in proof["postgres"]
    assert "RELAY_KAFKA_BOOTSTRAP_SERVERS" in proof["broker"]


def test_an_interrupt_ends_every_process(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with demo("--runs", "200", output=output) as process:
        until(lambda: "execute the runs" in output.read_text(), timeout_s=60, what="the runs")
        children = children_of(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 1
    assert len(children) >= 5  # database, broker, two relays, consumer
    assert not [pid for pid in children if is_running(pid)]


def test_a_process_that_ends_early_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    player = Player("consumer", ["no.such.module"], environment(), tmp_path)
    with pytest.raises(ServiceFailed, match=r"consumer .* ended early with 1:\n.*no\.such"):
        until(player.require_running, timeout_s=30)


def test_without_the_extra_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.delitem(sys.modules, "relay.demo.display", raising=False)
    monkeypatch.delitem(sys.modules, "relay.demo.play", raising=False)
    ended = CliRunner().invoke(main, ["demo"])
    assert ended.exit_code == 1
    assert "relay: the demo needs rich: pip install 'outbox-relay[demo]'" in ended.output
