"""`relay bench backlog`: figures that belong together."""

from __future__ import annotations

import pytest

from relay.bench.backlog import PageTimes
from tests.bench.figures import bench

EVENTS = 250_000


def test_the_whole_stands_beside_its_tenth_and_its_first_pages_beside_its_last() -> None:
    figures, output = bench("backlog", "--events", str(EVENTS))
    assert figures["events"] == EVENTS
    rate, tenth = figures["events_per_second"], figures["tenth_events_per_second"]
    assert figures["ratio_to_tenth"] == pytest.approx(rate / tenth, rel=0.01)
    assert 20 < figures["peak_memory_mb"] < 200
    for part in ("first", "last"):
        assert 0 < figures[f"{part}_pages_p50_ms"] <= figures[f"{part}_pages_p99_ms"]
    everything = EVENTS + 2 * (EVENTS // 10)
    assert f"relay: {everything:,} of {everything:,}" in output


def test_percentiles_are_of_the_times_that_were_measured() -> None:
    times = PageTimes.of([0.010] * 98 + [0.020, 0.030])
    assert times.p50_ms == pytest.approx(10)
    assert times.p99_ms == pytest.approx(20, rel=0.01)
