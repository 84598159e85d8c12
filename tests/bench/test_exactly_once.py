"""`relay bench exactly-once` as a user runs it: both ways of delivery, and the ratio of the two."""

from __future__ import annotations

import json

import pytest

from tests.cli.command import relay

pytestmark = [pytest.mark.real_broker, pytest.mark.timeout(300)]


def test_the_figures_of_both_ways_are_one_json_object_on_the_last_line() -> None:
    outcome = relay("bench", "exactly-once", "--events", "60000", "--seconds", "1", "--json")
    assert outcome.exit_code == 0, outcome.said
    figures = json.loads(outcome.out.splitlines()[-1])

    rates = [figures[f"{way}_events_per_second"] for way in ("exactly_once", "at_least_once")]
    assert figures["ratio_to_at_least_once"] == pytest.approx(rates[0] / rates[1], rel=0.01)
    for way in ("exactly_once", "at_least_once"):
        assert 0 < figures[f"{way}_p50_ms"] <= figures[f"{way}_p99_ms"]
    assert "Apache Kafka" in figures["broker"] or "RELAY_KAFKA" in figures["broker"]
