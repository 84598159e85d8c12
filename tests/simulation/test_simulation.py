"""1,000 worlds, the same ones every time; `make simulate` draws others.

A failure names its seed, and `make simulate SEED=...` lives through that world again, step by step.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.world import World, simulate

SEEDS = 1_000
SEEDS_A_TEST = 50
SEEDS_LOOKED_AT = 60


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_A_TEST))
def test_whatever_happens_the_relays_keep_their_promises(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        simulate(seed)


def test_in_the_worlds_there_is_all_that_relays_are_tried_by() -> None:
    """Of a world in which nothing happens every promise is kept."""
    seen = Counter[str]()
    for seed in range(SEEDS_LOOKED_AT):
        seen.update(what_happened(simulate(seed)))

    assert [name for name, worlds in seen.items() if not worlds] == []


def what_happened(world: World) -> dict[str, bool]:
    records = world.broker.records
    return {
        "a fault is absent": not world.faults.kinds,
        "a record comes twice": len({record.event_id for record in records}) < len(records),
        "a page in flight comes twice": world.ledger.most_in_flight > 1,
        "another leads": world.database.lease.term > 1,
        "the database comes back without its last records": world.database.incarnation > 0,
        "a standby lacks events": bool(world.faults.lost_by_failover),
        "a leaf is emptied": len(world.database.standing) < len(world.database.committed),
        "a parked event is released": any(
            "ce_outboxreleased" in record.headers for record in records
        ),
    }
