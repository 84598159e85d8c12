"""The demo's proof holds when every count agrees, and for nothing less."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from relay.cli.demo import demo
from relay.core.checker import Verdict, Violation
from relay.demo import play
from relay.demo.ledger import Tally
from relay.demo.proof import Proof
from relay.demo.tables import Latency, Rows

CLEAN = Verdict(
    committed=30,
    published_unique=30,
    duplicates=2,
    lost=0,
    phantoms=0,
    out_of_order=0,
    stale_after_new=0,
    wrong_bytes=0,
    wrong_partition=0,
    split=0,
    replayed=0,
    replayed_early=0,
    violations=(),
)
GOOD = Proof(
    runs=10,
    tally=Tally(committed=10, incidents=3, events=30, rolled_back=1),
    rows=Rows(completions=10, incidents=3, events=30, taken=30, taken_unique=30),
    dropped=2,
    verdict=CLEAN,
    p50=Latency(20.0, 10.0),
    p99=Latency(6_000.0, 40.0),
    takeover_s=6.123,
    postgres="PostgreSQL 18.4 (embedded)",
    broker="mock cluster",
)
ROWS, TALLY = GOOD.rows, GOOD.tally

OFF: dict[str, dict[str, Any]] = {
    "a run is missing": {"rows": ROWS._replace(completions=9)},
    "a run was never completed": {
        "rows": ROWS._replace(completions=9),
        "tally": replace(TALLY, committed=9),
    },
    "an incident is missing": {"rows": ROWS._replace(incidents=2)},
    "an event never came into the outbox": {"rows": ROWS._replace(events=29)},
    "an event is not in Kafka": {"verdict": replace(CLEAN, published_unique=29)},
    "an event is lost": {"verdict": replace(CLEAN, lost=1)},
    "a phantom": {"verdict": replace(CLEAN, phantoms=1)},
    "out of order": {"verdict": replace(CLEAN, out_of_order=1)},
    "stale after new": {"verdict": replace(CLEAN, stale_after_new=1)},
    "other bytes": {"verdict": replace(CLEAN, wrong_bytes=1)},
    "a wrong partition": {"verdict": replace(CLEAN, wrong_partition=1)},
    "one event in two partitions": {"verdict": replace(CLEAN, split=1)},
    "an event was not consumed": {"rows": ROWS._replace(taken=29, taken_unique=29)},
    "an event was consumed twice": {"rows": ROWS._replace(taken=31)},
    "a duplicate was not dropped": {"dropped": 1},
    "nobody took over": {"takeover_s": None},
}


def command(monkeypatch: pytest.MonkeyPatch, proof: Proof) -> Result:
    """`relay demo --json` with a play that has this outcome."""
    monkeypatch.setattr(play, "play", lambda *_: proof)
    return CliRunner().invoke(demo, ["--json"])


def test_holds_when_every_count_agrees() -> None:
    assert GOOD.holds


@pytest.mark.parametrize("off", OFF.values(), ids=OFF)
def test_does_not_hold_when_one_count_is_off(off: dict[str, Any]) -> None:
    proof = replace(GOOD, **off)
    assert not proof.holds, proof.lines()
    assert proof.to_dict()["holds"] is False


def test_ends_the_command_with_0_when_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert command(monkeypatch, GOOD).exit_code == 0


def test_ends_the_command_with_1_when_a_count_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert command(monkeypatch, replace(GOOD, **OFF["an event is lost"])).exit_code == 1


def test_names_what_the_checker_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Violation("I1", "event 7 is not in partition 3", "7", "k", 3, (5,))
    proof = replace(GOOD, verdict=replace(CLEAN, lost=1, violations=(found,)))
    assert "I1: event 7 is not in partition 3" in command(monkeypatch, proof).output


def test_gives_its_counts_by_the_names_that_programs_read() -> None:
    stated = GOOD.to_dict()
    assert stated["latency_ms"] == {"p50": 20.0, "p99": 6_000.0}
    assert stated["takeover_seconds"] == 6.12
    wanted = {
        "runs": 10,
        "committed": 10,
        "incidents": 3,
        "events": 30,
        "published_unique": 30,
        "duplicates": 2,
        "lost": 0,
        "phantoms": 0,
        "out_of_order": 0,
    }
    assert {name: stated[name] for name in wanted} == wanted
