"""How long to rest before the next look, and before the next try.

Naive: a NOTIFY in every writer's transaction would make resting needless. It cost 65 to 73 % of
the commits at 8 to 16 concurrent writers, as PostgreSQL commits transactions that notify one at a
time. So the relay looks, often while events come and seldom while none do: 1 ms after the last
event, half as long again each time up to 20 ms, and 140 ms once nothing has come for 10 s.

Where few events come and each shall go at once (`RELAY_WAKEUP=listen`), it sleeps once nothing has
come for 20 ms, and only writers who find it asleep notify it: the first of a burst, not each of it.
Naive: look, find nothing, tell writers to notify, sleep. A commit between the look and the telling
is neither seen nor notified of: 24 of 216 events were late so. The sleep lock makes the telling
exact. A writer takes it shared and keeps it to its end, or finds it taken and notifies; the relay
takes it exclusively, without waiting. So once the relay has it, each writer has either ended, and a
look *from then on* sees what it wrote, or begins later and notifies. That look comes before every
sleep. The lock is kept over the looks of one sleep and given back before the relay sends anything,
so that writers under load do not notify.
"""

from __future__ import annotations

__all__ = [
    "SLEEP_S_MAX",
    "WINDOW_EVERY_S",
    "may_sleep",
    "next_rest_s",
    "restart_rest_s",
    "retry_rest_s",
]

SHORTEST_REST_S = 0.001
LONGEST_REST_S = 0.020
IDLE_REST_S = 0.140
"""With it an idle relay begins 10 transactions a second at most, the lease's included."""
IDLE_AFTER_S = 10.0
GROWTH = 1.5

SLEEP_AFTER_S = 0.020
"""At 1,000 events/s there is no such gap, so writers under load never notify."""
SLEEP_S_MAX = 5.0
"""A sleeper looks this often all the same.

So the worst that a wake-up which never came can do is to delay events by so much: a writer that
wrote into a leaf of the ring, or with triggers off.
"""

WINDOW_EVERY_S = 0.003
"""Windows are opened no more often than this. Each is a synchronous commit.

Under load it is let grow instead.
"""

MISSING_ASKED_FOR = 3
"""How often a missing topic is asked for again before its events are set aside, so that the others
flow: 0.7 s in all. One that was just created is unknown to some brokers for a moment."""

FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 5.0

FIRST_RESTART_S = 1.0
LONGEST_RESTART_S = 60.0
"""What ended one outbox of several does not pass by itself: a person migrates, or grants."""


def next_rest_s(previous_s: float, silent_for_s: float) -> float:
    """Seconds to rest after a look that found nothing.

    `previous_s` is the rest before it, 0 if events came since.
    """
    if silent_for_s >= IDLE_AFTER_S:
        return IDLE_REST_S
    return min(max(SHORTEST_REST_S, previous_s * GROWTH), LONGEST_REST_S)


def may_sleep(silent_for_s: float) -> bool:
    """Whether a relay that writers can wake may lie down."""
    return silent_for_s >= SLEEP_AFTER_S


def retry_rest_s(attempts: int) -> float:
    """Seconds to rest after `attempts` failures in a row (1 or more).

    Doubling from 0.1 s up to 5 s.
    """
    return min(FIRST_RETRY_S * 2.0 ** min(attempts - 1, 10), LONGEST_RETRY_S)


def restart_rest_s(failures: int) -> float:
    """Seconds to rest before an outbox that failed so often in a row (1 or more) is begun anew.

    Doubling from 1 s up to 60 s.
    """
    return min(FIRST_RESTART_S * 2.0 ** min(failures - 1, 10), LONGEST_RESTART_S)
