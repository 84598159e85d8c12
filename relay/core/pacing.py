"""How long to rest before the next look, and before the next try.

A NOTIFY in every writer's transaction would make resting needless, and cost 65 to 73 % of the
commits at 8 to 16 concurrent writers. So the relay looks, often while events come and seldom while
none do: 1 ms after the last event, half as long again each time up to 20 ms, and 100 ms once
nothing has come for 10 s.
"""

from __future__ import annotations

__all__ = ["WINDOW_EVERY_S", "next_rest_s", "retry_rest_s"]

SHORTEST_REST_S = 0.001
LONGEST_REST_S = 0.020
ASLEEP_REST_S = 0.100
ASLEEP_AFTER_S = 10.0
GROWTH = 1.5

WINDOW_EVERY_S = 0.005
"""Windows are opened no more often than this. Each is a synchronous commit.

Under load it is let grow instead.
"""

MISSING_ASKED_FOR = 3
"""How often a missing topic is asked for again before its events are set aside, so that the others
flow: 0.7 s in all. One that was just created is unknown to some brokers for a moment."""

FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 5.0


def next_rest_s(previous_s: float, silent_for_s: float) -> float:
    """Seconds to rest after a look that found nothing.

    `previous_s` is the rest before it, 0 if events came since.
    """
    if silent_for_s >= ASLEEP_AFTER_S:
        return ASLEEP_REST_S
    return min(max(SHORTEST_REST_S, previous_s * GROWTH), LONGEST_REST_S)


def retry_rest_s(attempts: int) -> float:
    """Seconds to rest after `attempts` failures in a row (1 or more).

    Doubling from 0.1 s up to 5 s.
    """
    return min(FIRST_RETRY_S * 2.0 ** min(attempts - 1, 10), LONGEST_RETRY_S)
