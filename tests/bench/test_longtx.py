"""`relay bench longtx`: figures that belong together."""

from __future__ import annotations

import pytest

from tests.bench.figures import bench

EVENTS = 60_000


def test_the_same_number_of_events_is_published_with_an_open_transaction_and_without() -> None:
    figures, output = bench("longtx", "--events", str(EVENTS))
    assert (figures["events"], figures["rounds"]) == (EVENTS, 1)
    rate, held = figures["events_per_second"], figures["long_transaction_events_per_second"]
    assert figures["ratio_with_long_transaction"] == pytest.approx(held / rate, rel=0.01)
    assert f"relay: {2 * EVENTS:,} of {2 * EVENTS:,}" in output
