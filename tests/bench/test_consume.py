"""`relay bench consume` as a user runs it: figures that belong together."""

from __future__ import annotations

import pytest

from tests.bench.figures import bench

EVENTS = 5_000


def test_the_figures_are_one_json_object_on_the_last_line() -> None:
    figures, output = bench("consume", "--events", str(EVENTS))
    assert figures["events"] == EVENTS
    bare = figures["no_memory_events_per_second"]
    for memory in ("ids", "marks"):
        rate = figures[f"{memory}_events_per_second"]
        assert figures[f"{memory}_ratio_to_no_memory"] == pytest.approx(rate / bare, rel=0.01)
        assert figures[f"{memory}_client_cpu_us_per_event"] > 0
        assert f"{memory}: {EVENTS:,} of {EVENTS:,}" in output
