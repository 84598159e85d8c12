"""Durations, counted into buckets: cheap enough to be observed once a page."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

__all__ = ["LAG_S", "PUBLISH_S", "Histogram"]

PUBLISH_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Of a page: milliseconds to a broker nearby; seconds while one of its replicas restarts."""

LAG_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Of an event, from its writing: milliseconds while all is well, half an hour behind a backlog."""


class Histogram:
    """Seconds, counted by upper bounds; one thread observes."""

    def __init__(self, bounds_s: tuple[float, ...]) -> None:
        self._bounds_s = bounds_s
        self._counts = [0] * (len(bounds_s) + 1)
        self.sum_s = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds_s, seconds)] += 1
        self.sum_s += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """How many were no longer than each bound, as Prometheus has it."""
        bounds = (*map(str, self._bounds_s), "+Inf")
        return list(zip(bounds, map(float, accumulate(self._counts)), strict=True))
