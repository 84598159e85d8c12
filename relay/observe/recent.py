"""The last quarter of an hour of an outbox, for its charts: as a value that never grows.

Sampled from the database alone, so that a standby draws the same curves as the leader, and a relay
that has just taken over goes on with those that it drew while it stood by.

The rate is how far the cursor's position moved between two looks. A counter in the leader would be
exact, but no standby has it, and it begins at nothing with each takeover. The position counts what
was rolled back too: where many transactions fail, the curve is that much too high.

Where a look failed there is a gap, and none is guessed over. Whoever reads it may be in another
thread: what is held is replaced as a whole, never changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from relay.core.vitals import STALLED_AFTER_S

__all__ = ["EVERY_S", "SPAN_S", "Point", "Recent", "Sample"]

SPAN_S = 900.0
EVERY_S = 5.0
"""The least between two looks; they come less often where one takes long."""

SAMPLES_MAX = int(SPAN_S / EVERY_S) + 2


@dataclass(frozen=True, slots=True)
class Sample:
    """One look, at a monotonic time; the figures are None where it failed."""

    at_s: float
    passed: int | None = None
    pending: int | None = None
    lag_s: float | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """What is drawn: so long ago; None is a gap. `rate` is in events a second."""

    age_s: float
    rate: float | None
    lag_s: float | None
    pending: int | None


@dataclass(frozen=True, slots=True)
class Recent:
    """The samples, oldest first."""

    samples: tuple[Sample, ...] = ()

    def having(self, sample: Sample) -> Recent:
        """With one more; the oldest go once they are older than SPAN_S."""
        kept = (one for one in self.samples if sample.at_s - one.at_s <= SPAN_S)
        return replace(self, samples=(*kept, sample)[-SAMPLES_MAX:])

    def points(self, now_s: float) -> Iterator[Point]:
        """What of the last SPAN_S is to be drawn, oldest first."""
        before: Sample | None = None
        for one in self.samples:
            if now_s - one.at_s <= SPAN_S:
                yield Point(now_s - one.at_s, _rate(before, one), one.lag_s, one.pending)
            before = one

    @property
    def rate(self) -> float | None:
        """Events a second between the last two looks."""
        return _rate(*self.samples[-2:]) if len(self.samples) > 1 else None

    @property
    def stalled(self) -> bool:
        """Whether events have waited for STALLED_AFTER_S and nothing was passed, by all looks."""
        since_s: float | None = None
        for before, one in pairwise(self.samples):
            stuck = bool(before.pending and one.pending) and before.passed == one.passed
            since_s = (before.at_s if since_s is None else since_s) if stuck else None
        return since_s is not None and self.samples[-1].at_s - since_s >= STALLED_AFTER_S


def _rate(before: Sample | None, one: Sample) -> float | None:
    """None beside a gap, and where the position went back, in a database that lost commits."""
    if before is None or before.passed is None or one.passed is None:
        return None
    if one.passed < before.passed or one.at_s <= before.at_s:
        return None
    return (one.passed - before.passed) / (one.at_s - before.at_s)
