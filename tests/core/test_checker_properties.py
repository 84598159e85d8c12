"""Random histories: what an honest relay makes has no violation, and one planted fault is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from relay.core.checker import History, Meant, Outcome, Seen, check, payload_hash
from relay.core.murmur2 import java_partition

PARTITIONS = {"runs": 4, "audit": 3}
KEYS = (None, "", "a", "b", "c", "größe")


@dataclass(frozen=True)
class World:
    meant: list[Meant]
    log: list[Seen]
    parked: frozenset[str]


def honest_world(dice: Random) -> World:
    """Write, park some keys' tails, and publish with suffixes sent again, as a relay may."""
    meant = list(_written(dice, dice.randint(1, 40)))
    parked = _parked(dice, meant)
    to_send = [one for one in meant if one.stands and one.event_id not in parked]
    return World(meant, _renumbered(_record(one) for one in _sends(dice, to_send)), parked)


def _written(dice: Random, count: int) -> Iterator[Meant]:
    newest_n: dict[str | None, int] = {}
    for number in range(count):
        key = dice.choice(KEYS)
        outcome = dice.choice([Outcome.COMMITTED] * 4 + [Outcome.ROLLED_BACK, Outcome.UNKNOWN])
        n = newest_n.get(key, 0) + 1
        event_id = f"id-{number}"
        topic = dice.choice(tuple(PARTITIONS))
        in_database = dice.random() < 0.5
        value = payload_hash(event_id.encode())
        one = Meant("w", key, n, event_id, topic, value, {"h": "v"}, outcome, in_database)
        if one.stands:
            newest_n[key] = n
        yield one


def _parked(dice: Random, meant: list[Meant]) -> frozenset[str]:
    held = dice.choice(KEYS)
    tail = [one.event_id for one in meant if one.stands and one.key == held]
    return frozenset(tail[dice.randint(0, len(tail)) :] if dice.random() < 0.5 else ())


def _sends(dice: Random, to_send: list[Meant]) -> Iterator[Meant]:
    done = 0
    while done < len(to_send):
        end = min(done + dice.randint(1, 8), len(to_send))
        yield from to_send[done:end]
        # A crash before the cursor was stored: the same events go out again, from further back.
        done = dice.randint(done + 1, end)


def _record(one: Meant) -> Seen:
    partitions = PARTITIONS[one.topic]
    partition = 0 if one.key is None else java_partition(one.key.encode(), partitions)
    headers = {**one.headers, "ce_id": one.event_id, "ce_sequence": one.event_id}
    return Seen(one.topic, partition, -1, one.key, one.event_id, one.payload_hash, headers)


def _renumbered(records: Iterator[Seen] | list[Seen]) -> list[Seen]:
    ends: dict[tuple[str, int], int] = {}
    log = []
    for record in records:
        where = (record.topic, record.partition)
        ends[where] = ends.get(where, -1) + 1
        log.append(record._replace(offset=ends[where]))
    return log


def violated(world: World, *, transactional: bool = False) -> set[str]:
    history = History(world.meant, world.log, world.parked)
    verdict = check(history, partitions=PARTITIONS, transactional=transactional)
    return {one.invariant for one in verdict.violations}


# Each fault returns the spoiled world, or None where this world has nothing that it could spoil.
Fault = Callable[[World, Random], World | None]


def lose_an_event(world: World, dice: Random) -> World | None:
    if not world.log:
        return None
    gone = dice.choice(world.log).event_id
    return replace(world, log=_renumbered([one for one in world.log if one.event_id != gone]))


def publish_what_does_not_stand(world: World, dice: Random) -> World | None:
    refused = [one for one in world.meant if not one.stands]
    if not refused:
        return None
    record = _record(dice.choice(refused))
    at = dice.randint(0, len(world.log))
    return replace(world, log=_renumbered([*world.log[:at], record, *world.log[at:]]))


def publish_a_stranger(world: World, dice: Random) -> World | None:
    stranger = Seen("runs", 0, -1, None, "stranger", None, {})
    at = dice.randint(0, len(world.log))
    return replace(world, log=_renumbered([*world.log[:at], stranger, *world.log[at:]]))


def swap_two_of_a_key(world: World, dice: Random) -> World | None:
    firsts = {one.event_id: at for at, one in reversed(list(enumerate(world.log)))}
    neighbours = [
        (at, later)
        for at in firsts.values()
        for later in firsts.values()
        if at < later
        and world.log[at].key is not None
        and (world.log[at].topic, world.log[at].key)
        == (world.log[later].topic, world.log[later].key)
    ]
    if not neighbours:
        return None
    at, later = dice.choice(neighbours)
    swapped = world.log[:later]
    swapped[at] = world.log[later]
    # What was sent again in between would bring the older one back in time: leave it out.
    older = world.log[at]
    kept = [one for one in swapped if one.event_id != older.event_id]
    return replace(world, log=_renumbered([*kept, older, *world.log[later + 1 :]]))


def _spoil(change: Callable[[Seen], Seen]) -> Fault:
    def fault(world: World, dice: Random) -> World | None:
        if not world.log:
            return None
        at = dice.randrange(len(world.log))
        spoiled = change(world.log[at])
        return replace(world, log=_renumbered([*world.log[:at], spoiled, *world.log[at + 1 :]]))

    return fault


def publish_to_the_next_partition(world: World, dice: Random) -> World | None:
    keyed = [at for at, one in enumerate(world.log) if one.key is not None]
    if not keyed:
        return None
    at = dice.choice(keyed)
    one = world.log[at]
    moved = one._replace(partition=(one.partition + 1) % PARTITIONS[one.topic])
    return replace(world, log=_renumbered([*world.log[:at], moved, *world.log[at + 1 :]]))


def repeat_in_another_partition(world: World, dice: Random) -> World | None:
    if not world.log:
        return None
    one = dice.choice(world.log)
    again = one._replace(partition=(one.partition + 1) % PARTITIONS[one.topic])
    return replace(world, log=_renumbered([*world.log, again]))


def repeat_with_another_place(world: World, dice: Random) -> World | None:
    if not world.log:
        return None
    one = dice.choice(world.log)
    again = one._replace(headers={**one.headers, "ce_sequence": "elsewhere"})
    return replace(world, log=_renumbered([*world.log, again]))


FAULTS: dict[str, tuple[Fault, set[str]]] = {
    "an event is lost": (lose_an_event, {"I1"}),
    "what does not stand is published": (publish_what_does_not_stand, {"I1", "I2"}),
    "a stranger is published": (publish_a_stranger, {"I2"}),
    "two events of a key are swapped": (swap_two_of_a_key, {"I3"}),
    "a repeat is in another partition": (repeat_in_another_partition, {"I5"}),
    "a repeat has another place": (repeat_with_another_place, {"I5"}),
    "a value is spoiled": (_spoil(lambda one: one._replace(value_hash=b"other")), {"I6"}),
    "a key is spoiled": (_spoil(lambda one: one._replace(key="another key")), {"I6"}),
    "a header is spoiled": (_spoil(lambda one: one._replace(headers={"h": "w"})), {"I6"}),
    "a key is in another partition": (publish_to_the_next_partition, {"I7"}),
}


@given(st.randoms(use_true_random=False))
def test_what_an_honest_relay_publishes_has_no_violation(dice: Random) -> None:
    assert violated(honest_world(dice)) == set()


@given(st.randoms(use_true_random=False), st.sampled_from(sorted(FAULTS)))
def test_one_planted_fault_is_always_found(dice: Random, name: str) -> None:
    fault, invariants = FAULTS[name]
    spoiled = fault(honest_world(dice), dice)
    if spoiled is not None:
        assert violated(spoiled) & invariants, name


@given(st.randoms(use_true_random=False))
def test_every_repeat_is_found_in_transactional_mode(dice: Random) -> None:
    world = honest_world(dice)
    has_repeats = len(world.log) > len({one.event_id for one in world.log})

    assert ("I5" in violated(world, transactional=True)) == has_repeats


def test_each_fault_can_be_planted_in_most_worlds() -> None:
    for name, (fault, _) in FAULTS.items():
        planted = [fault(honest_world(Random(seed)), Random(seed)) for seed in range(100)]
        assert sum(one is not None for one in planted) > 60, name
