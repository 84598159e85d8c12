"""Each alert fires when it must, alone, and is silent in the near miss."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.fleet_of_two import (
    DAY_S,
    WELL,
    Changes,
    World,
    always,
    assert_fires,
    between,
    every,
    now,
    rate,
    stuck,
    until,
)
from tests.deploy.rules import alerts

HOUR = 60.0
MINUTE_S = 60.0
PENDING = "outbox_oldest_pending_timestamp_seconds"
PUBLISHED = "outbox_published_events_total"

idle = (stuck(300, rate(100)), always(0))


def gone(_: float) -> None:
    """Not scraped."""


def behind(t: float) -> float:
    """The oldest event has waited for 400 s at any time."""
    return max(1.0, t - 400)


def a_little_behind(t: float) -> float:
    """The oldest event has waited for 250 s at any time."""
    return max(1.0, t - 250)


def peak(t: float) -> float:
    """It has waited for twelve minutes once, and is out two minutes later."""
    return 1.0 if t < 720 else min(t, 1.0 + 6 * (t - 720))


def outage(t: float) -> float:
    """Nothing leaves for an hour, then all of it within a quarter."""
    return 1.0 if t < 3600 else min(t, 1.0 + 5 * (t - 3600))


def away(start_s: float, end_s: float) -> Changes:
    """Both relays are not scraped meanwhile."""
    unseen: Changes = {
        metric: (between(start_s, end_s, gone, of_a), between(start_s, end_s, gone, of_b))
        for metric, (of_a, of_b) in WELL.items()
    }
    return {**unseen, "up": between(start_s, end_s, always(0), always(1))}


def only_b_away(start_s: float, end_s: float) -> Changes:
    """The standby is not scraped meanwhile."""
    unseen: Changes = {
        metric: (of_a, between(start_s, end_s, gone, of_b)) for metric, (of_a, of_b) in WELL.items()
    }
    return {**unseen, "up": (always(1), between(start_s, end_s, always(0), always(1)))}


@dataclass(frozen=True)
class Case:
    """`alert` is what the world is about; `fires` are all that fire in it, by their names."""

    alert: str
    what: str
    fires: frozenset[str]
    world: World


def fires(alert: str, what: str, world: World, *others: str) -> Case:
    return Case(alert, what, frozenset((alert, *others)), world)


def silent(alert: str, what: str, world: World, *others: str) -> Case:
    return Case(alert, what, frozenset(others), world)


def relays() -> list[Case]:
    vanished: Changes = {
        metric: (until(300, gone, of_a), until(300, gone, of_b))
        for metric, (of_a, of_b) in WELL.items()
    }
    hung = (now, between(300, 1200, always(300), now))
    back = (now, between(300, 500, always(300), now))
    no_database = (always(1), between(300, 900, always(0), always(1)))
    blinks = (always(1), between(300, 540, always(0), always(1)))
    heartbeat = "outbox_heartbeat_timestamp_seconds"
    return [
        fires("OutboxRelaysDown", "nobody answers", World(20, away(300, 9e9))),
        fires("OutboxRelaysDown", "the targets are gone", World(10, vanished)),
        fires("OutboxRelaysDown", "there never was a target", World(10, dict.fromkeys(WELL, gone))),
        silent("OutboxRelaysDown", "both restart", World(15, away(300, 390))),
        fires("OutboxRelayDown", "the standby is away", World(20, only_b_away(300, 9e9))),
        silent("OutboxRelayDown", "a host restarts", World(20, only_b_away(300, 840))),
        fires("OutboxRelayNotReady", "a loop hangs", World(20, {heartbeat: hung})),
        fires("OutboxRelayNotReady", "a network", World(20, {"outbox_database_up": no_database})),
        silent("OutboxRelayNotReady", "slow once", World(20, {heartbeat: back})),
        silent("OutboxRelayNotReady", "it blinks", World(20, {"outbox_database_up": blinks})),
    ]


def leaders() -> list[Case]:
    none = (until(300, always(0), always(1)), always(0))
    ends = stuck(300, rate(100))
    nobody: Changes = {
        "outbox_leading": none,
        PUBLISHED: (ends, always(0)),
        PENDING: stuck(300, now),
    }
    takeover = (until(300, always(0), always(1)), until(315, always(1), always(0)))
    clients: Changes = {"outbox_broker_up": always(1)}
    both = (always(1), until(300, always(1), always(0)))
    seen_twice = (until(315, always(0), always(1)), until(300, always(1), always(0)))
    no_database: Changes = {**nobody, "outbox_database_up": until(300, always(0), always(1))}
    restart = {"outbox_database_up": between(300, 390, always(0), always(1))}
    in_turns: Changes = {"outbox_fenced_total": every(120), "outbox_takeovers_total": every(120)}
    once = {"outbox_fenced_total": (until(600, always(1), always(0)), always(0))}
    often = {"outbox_takeovers_total": every(480)}
    deployed = {"outbox_takeovers_total": every(900)}
    return [
        fires("OutboxDatabaseDown", "for good", World(40, no_database)),
        silent("OutboxDatabaseDown", "a restart", World(20, restart)),
        fires("OutboxNoLeader", "nobody claims it", World(40, nobody)),
        silent("OutboxNoLeader", "a takeover", World(20, {"outbox_leading": takeover, **clients})),
        fires("OutboxTwoLeaders", "a copy", World(20, {"outbox_leading": both})),
        silent(
            "OutboxTwoLeaders", "a takeover", World(20, {"outbox_leading": seen_twice, **clients})
        ),
        fires("OutboxFencingStorm", "in turns", World(40, in_turns)),
        silent("OutboxFencingStorm", "a zombie wakes", World(40, once)),
        fires("OutboxLeaderFlaps", "it goes on", World(60, often)),
        silent("OutboxLeaderFlaps", "relays are upgraded", World(60, deployed)),
    ]


def delivery() -> list[Case]:
    stands: Changes = {PUBLISHED: idle, PENDING: stuck(300, now)}
    no_broker = (until(300, always(0), always(1)), always(0))
    nothing_waits: Changes = {PUBLISHED: idle, PENDING: until(300, always(0), now)}
    seldom: Changes = {
        PUBLISHED: idle,
        PENDING: between(900, 1065, always(900), until(300, always(0), now)),
    }
    moment: Changes = {
        PUBLISHED: (lambda t: 100 * (t if t < 300 else max(300, t - 120)), always(0)),
        PENDING: between(300, 420, always(300), now),
    }
    an_hour: Changes = {
        PENDING: outage,
        PUBLISHED: (lambda t: 0.0 if t < 3600 else 400 * (t - 3600), always(0)),
        "outbox_broker_up": (until(3600, always(1), always(0)), always(0)),
    }
    cut_off: Changes = {
        PENDING: (now, stuck(290, now)),
        "outbox_database_up": (always(1), until(300, always(0), always(1))),
        "outbox_parked_events": (always(0), until(200, always(1), always(0))),
        "outbox_oldest_transaction_start_timestamp_seconds": (always(0), always(100)),
    }
    caught_up = until(25 * MINUTE_S, now, behind)
    away_for_long = World(10, {"outbox_broker_up": no_broker})
    for_a_alone: Changes = {"outbox_broker_up": (until(300, always(0), always(1)), always(1))}
    restarts = {"outbox_broker_up": (between(300, 420, always(0), always(1)), always(0))}
    return [
        fires("OutboxDeliveryStalled", "every event is refused", World(60, stands)),
        fires(
            "OutboxDeliveryStalled",
            "no broker",
            World(60, {**stands, "outbox_broker_up": no_broker}),
            "OutboxBrokerDown",
        ),
        silent("OutboxDeliveryStalled", "a quiet night", World(60, nothing_waits)),
        silent("OutboxDeliveryStalled", "a broker restarts", World(20, moment)),
        silent("OutboxDeliveryStalled", "one event of a quiet night", World(20, seldom)),
        fires("OutboxLagGrowing", "too much is written", World(20, {PENDING: always(1)})),
        silent(
            "OutboxLagGrowing",
            "a relay repeats what it saw last",
            World(40, cut_off),
            "OutboxRelayNotReady",
        ),
        silent("OutboxLagGrowing", "a peak", World(40, {PENDING: peak})),
        silent(
            "OutboxLagGrowing",
            "after an outage",
            World(90, an_hour),
            "OutboxDeliveryStalled",
            "OutboxBrokerDown",
        ),
        fires("OutboxLagHigh", "always behind", World(45, {PENDING: behind})),
        silent("OutboxLagHigh", "a little behind", World(60, {PENDING: a_little_behind})),
        silent("OutboxLagHigh", "a batch of the night", World(60, {PENDING: caught_up})),
        fires("OutboxBrokerDown", "nothing waits", away_for_long),
        fires("OutboxBrokerDown", "the standby reaches one", World(10, for_a_alone)),
        silent("OutboxBrokerDown", "a broker restarts", World(20, restarts)),
    ]


def waiting() -> list[Case]:
    parked = "outbox_parked_events"
    some = {parked: until(300, always(3), always(0))}
    topic_was_late = {parked: between(300, 780, always(40), always(0))}
    refused_topic: Changes = {**some, "outbox_parked_events_total": (rate(20), always(0))}
    topic_comes: Changes = {
        "outbox_parked_events_total": (lambda t: 20 * min(max(t - 300, 0), 240), always(0))
    }
    # The standby is cut off from the database.
    cut_off: Changes = {
        "outbox_database_up": (always(1), always(0)),
        "outbox_held_keys": (always(0), always(1)),
        "outbox_retention_oldest_kept_timestamp_seconds": (lambda t: max(0, t - DAY_S), always(1)),
    }
    one_key: Changes = {**some, "outbox_parked_events_total": (rate(2), always(0))}
    no_other_topic: Changes = {**refused_topic, PUBLISHED: idle}
    held = {"outbox_held_keys": always(1)}
    decided = {"outbox_held_keys": until(20 * HOUR * MINUTE_S, always(0), always(1))}
    return [
        fires("OutboxEventsParked", "three", World(20, some)),
        silent("OutboxEventsParked", "a topic is made", World(20, topic_was_late)),
        fires("OutboxMassParking", "a topic", World(30, refused_topic), "OutboxEventsParked"),
        fires("OutboxMassParking", "all of them", World(30, no_other_topic), "OutboxEventsParked"),
        silent("OutboxMassParking", "a topic comes late", World(30, topic_comes)),
        silent("OutboxMassParking", "a busy key", World(30, one_key), "OutboxEventsParked"),
        fires("OutboxKeysHeld", "a forgotten pause", World(25 * HOUR, held, 900)),
        silent(
            "OutboxKeysHeld",
            "a relay repeats what it saw last",
            World(8.5 * 24 * HOUR, cut_off, 900),
            "OutboxRelayNotReady",
        ),
        silent("OutboxKeysHeld", "decided on in time", World(26 * HOUR, decided, 900)),
    ]


def databases() -> list[Case]:
    start = "outbox_oldest_transaction_start_timestamp_seconds"
    horizon = "outbox_xmin_horizon_age_transactions"
    leaves, bytes_ = "outbox_ring_leaves_in_use", "outbox_ring_bytes"
    kept = "outbox_retention_oldest_kept_timestamp_seconds"
    report = {start: between(300, 1380, always(300), always(0))}
    full: Changes = {leaves: always(8), bytes_: rate(1e6)}
    for_a_while: Changes = {
        leaves: between(1800, 2400, always(8), always(7)),
        bytes_: rate(1e6),
    }
    cut_off: Changes = {
        leaves: (always(7), always(8)),
        bytes_: rate(1e6),
        "outbox_database_up": (always(1), always(0)),
    }
    worked_off = {leaves: always(8)}
    days = 24 * HOUR
    old: Changes = {leaves: always(3), kept: always(1)}
    quiet: Changes = {leaves: always(2), kept: always(1)}
    burst: Changes = {kept: always(1), leaves: between(8 * DAY_S, 9 * DAY_S, always(3), always(2))}
    return [
        fires("OutboxOldTransaction", "forgotten", World(30, {start: always(60)})),
        fires("OutboxOldTransaction", "hidden", World(20, {horizon: always(2e7)})),
        silent("OutboxOldTransaction", "a report", World(40, report)),
        silent("OutboxOldTransaction", "a busy database", World(40, {horizon: always(1e6)})),
        fires("OutboxRingFilling", "nothing can be emptied", World(60, full)),
        silent("OutboxRingFilling", "a report ends", World(60, for_a_while)),
        silent(
            "OutboxRingFilling",
            "a relay repeats what it saw last",
            World(60, cut_off),
            "OutboxRelayNotReady",
        ),
        silent("OutboxRingFilling", "a backlog is worked off", World(60, worked_off)),
        silent("OutboxRingFilling", "leaves grow", World(60, {bytes_: rate(1e6)})),
        fires("OutboxRetentionHeldBack", "a forgotten dump", World(8.5 * days, old, 900)),
        silent("OutboxRetentionHeldBack", "few events", World(9 * days, quiet, 900)),
        silent("OutboxRetentionHeldBack", "a burst", World(10 * days, burst, 900)),
    ]


CASES = [*relays(), *leaders(), *delivery(), *waiting(), *databases()]
named = [f"{case.alert}-{case.what.replace(' ', '-')}" for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=named)
def test_just_what_must_fire_fires(case: Case, tmp_path: Path) -> None:
    assert_fires([{"alertname": name} for name in sorted(case.fires)], tmp_path, case.world)


def test_nothing_fires_while_all_is_well(tmp_path: Path) -> None:
    assert_fires([], tmp_path, World(120))


def test_of_several_outboxes_the_one_is_named_that_stalls(tmp_path: Path) -> None:
    stands: Changes = {PUBLISHED: idle, PENDING: stuck(300, now)}
    orders = World(60, stands, outbox="orders", job="production/outbox-relay")
    billing = World(60, outbox="billing", job="production/outbox-relay")
    stalled = {"alertname": "OutboxDeliveryStalled", "outbox": "orders"}
    assert_fires([stalled], tmp_path, orders, billing)


def test_each_alert_has_a_world_in_which_it_fires_and_a_near_miss() -> None:
    assert {case.alert for case in CASES if case.alert in case.fires} == set(alerts())
    assert {case.alert for case in CASES if case.alert not in case.fires} == set(alerts())
