"""Runs a consumer's handler through what our guarantees allow, and says what it does not survive.

A loop delivers each event once into a committed transaction. On the way there it may do all this,
and a handler must end with the same effect whatever of it happens:

    repeated           a record is delivered again, at once or much later; the memory drops it
    cut elsewhere      a batch begins and ends at other records
    killed before the commit     what the handler did is rolled back, and the records come again
    killed after the commit      the records come again, in another batch with newer ones
    parked             a record, and the later ones of its key, are handled long after the others
    partitions         are read in another order; inside of one the order is kept
    mixed              several of these, drawn by a seed

Each schedule runs on the real database with the real memory, from a state that `reset` makes, and
its effect is compared with that of the plain one: each record once, in order, one a transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from coordinator.errors import BadInput, HandlerBroken
from coordinator.inbox.marks import Marks
from coordinator.inbox.memory import Memory, Record

__all__ = ["check_batch_handler", "check_handler"]

_POSITIONS_MAX: Final = 6
_MIXED: Final = 10
_BATCHES_OF_A_MIXED_MAX: Final = 12


@dataclass(frozen=True, slots=True)
class _Delivery:
    """A batch, by the numbers of its records, and how it ends.

    `killed_at`: the last record that is handled before the kill. `parked` are taken from the batch
    and set aside; `released`: taken before, handled now.
    """

    records: tuple[int, ...]
    killed_at: int | None = None
    parked: frozenset[int] = frozenset()
    released: bool = False


@dataclass(frozen=True, slots=True)
class _Schedule:
    fault: str
    told: str
    deliveries: tuple[_Delivery, ...]


@dataclass(frozen=True, slots=True)
class _Check:
    """What is fixed for all schedules of one check."""

    handle: Callable[[Session, Sequence[Record]], object]
    records: Sequence[Record]
    engine: Engine
    reset: Callable[[Session], object]
    effect: Callable[[Session], Any]
    memory: Memory


def check_handler(
    handler: Callable[[Session, Record], object],
    records: Sequence[Record],
    *,
    engine: Engine,
    reset: Callable[[Session], object],
    effect: Callable[[Session], Any],
    memory: Memory | None = None,
    seed: int = 0,
) -> None:
    """Check that a handler of single records has the same effect under every allowed schedule.

    It takes some dozens of runs over all records: give it ten or twenty, not thousands.

    Args:
        handler: called as the loop calls it.
        records: at least two, those of a partition in rising place; `relay_records` makes some.
        engine: of a database for tests, with the schema; what the handler writes is committed.
        reset: brings everything that `effect` looks at back to the state before the first record.
        effect: what the handler did, as a value that can be compared: rows in a fixed order, calls
            that a fake took. Leave out times and ids that are drawn anew.
        memory: None is `Marks()`. It gets consumers of names that begin with `check-`.
        seed: of the positions and of the mixed schedules; the same seed gives the same ones.

    Raises:
        HandlerBroken: names each fault that changes the effect, with the first schedule of it.
        BadInput: there are fewer than two records, or two plain runs differ already.
    """

    def handle(session: Session, batch: Sequence[Record]) -> None:
        for record in batch:
            handler(session, record)

    check_batch_handler(
        handle, records, engine=engine, reset=reset, effect=effect, memory=memory, seed=seed
    )


def check_batch_handler(
    batch_handler: Callable[[Session, Sequence[Record]], object],
    records: Sequence[Record],
    *,
    engine: Engine,
    reset: Callable[[Session], object],
    effect: Callable[[Session], Any],
    memory: Memory | None = None,
    seed: int = 0,
) -> None:
    """Check a handler of whole batches; see `check_handler`."""
    if len(records) < 2:
        raise BadInput("records", f"{len(records)} are too few: a fault needs two to come between")
    check = _Check(batch_handler, records, engine, reset, effect, memory or Marks())
    plain = tuple(_Delivery((number,)) for number in range(len(records)))
    expected = _effect_of(check, plain)
    if _effect_of(check, plain) != expected:
        raise BadInput("effect", "it differs between two plain runs: leave out what is drawn anew")
    broken: dict[str, str] = {}
    for schedule in _schedules(records, Random(seed)):
        if schedule.fault not in broken and (found := _difference(check, schedule, expected)):
            broken[schedule.fault] = f"{schedule.told}: {found}"
    if broken:
        raise HandlerBroken(broken, seed)


def _difference(check: _Check, schedule: _Schedule, expected: Any) -> str:
    """What came of a schedule, if that is not what is expected."""
    try:
        found = _effect_of(check, schedule.deliveries)
    except Exception as error:  # noqa: BLE001 - whatever the user's handler raises is the finding
        return f"the handler raised {type(error).__name__}: {error}"
    return "" if found == expected else f"the effect is {found!r}, without the fault {expected!r}"


def _effect_of(check: _Check, deliveries: Iterable[_Delivery]) -> Any:
    consumer = f"check-{uuid4().hex}"
    with Session(check.engine) as session, session.begin():
        check.reset(session)
    for delivery in deliveries:
        with Session(check.engine) as session:
            session.begin()
            _deliver(check, session, consumer, delivery)
            session.commit() if delivery.killed_at is None else session.rollback()
    with Session(check.engine) as session:
        return check.effect(session)


def _deliver(check: _Check, session: Session, consumer: str, delivery: _Delivery) -> None:
    numbers: Sequence[int] = delivery.records
    if not delivery.released:
        batch = [check.records[number] for number in numbers]
        answers = check.memory.take(session, consumer, batch)
        numbers = [number for number, new in zip(numbers, answers, strict=True) if new]
    last = len(check.records) if delivery.killed_at is None else delivery.killed_at
    if handled := [n for n in numbers if n <= last and n not in delivery.parked]:
        check.handle(session, [check.records[number] for number in handled])
    session.flush()


def _schedules(records: Sequence[Record], dice: Random) -> Iterator[_Schedule]:
    everything = tuple(range(len(records)))
    numbers = everything[1:]
    chosen = sorted(dice.sample(numbers, min(len(numbers), _POSITIONS_MAX)))
    yield _Schedule("cut elsewhere", "all records in one batch", (_Delivery(everything),))
    twice = tuple(number for number in everything for _ in range(2))
    yield _Schedule("repeated", "each record twice in one batch", (_Delivery(twice),))
    for at in chosen:
        yield from _around(everything, at, records[at])
    for at in chosen:
        yield _parked(records, at)
    yield from _partitions(records)
    for number in range(_MIXED):
        yield _Schedule("mixed", f"mixed schedule {number + 1}", tuple(_mixed(len(records), dice)))


def _around(everything: tuple[int, ...], at: int, record: Record) -> Iterator[_Schedule]:
    """One fault just before record `at`."""
    whole, before = _Delivery(everything), _Delivery(everything[:at])
    here = f"record {at} ({record.topic}[{record.partition}]@{record.offset})"
    cut = (before, _Delivery(everything[at:]))
    yield _Schedule("cut elsewhere", f"a batch ends before {here}", cut)
    again = (whole, _Delivery((at,)))
    yield _Schedule("repeated", f"{here} comes again after all others", again)
    killed = _Delivery(everything, killed_at=at)
    yield _Schedule("killed before the commit", f"killed when {here} was handled", (killed, whole))
    yield _Schedule(
        "killed after the commit",
        f"killed when the batch before {here} was committed, and its offset not",
        (before, whole),
    )


def _parked(records: Sequence[Record], at: int) -> _Schedule:
    """Record `at` is refused, parked, and released when all others are through."""
    first = records[at]
    behind = [at]
    if first.key is not None:
        later = range(at + 1, len(records))
        behind += [
            n for n in later if (records[n].topic, records[n].key) == (first.topic, first.key)
        ]
    everything = tuple(range(len(records)))
    whole = _Delivery(everything, parked=frozenset(behind))
    refused = _Delivery(everything, killed_at=at)
    released = (_Delivery((number,), released=True) for number in behind)
    told = f"record {at} parked with the later ones of its key, and released at the end"
    return _Schedule("parked", told, (refused, whole, *released))


def _partitions(records: Sequence[Record]) -> Iterator[_Schedule]:
    """Partition after partition, and the other way round."""
    parts: dict[tuple[str, int], list[int]] = {}
    for number, record in enumerate(records):
        parts.setdefault((record.topic, record.partition), []).append(number)
    for names in (sorted(parts), sorted(parts, reverse=True)):
        order = tuple(number for name in names for number in parts[name])
        if len(parts) > 1 and any(after < before for before, after in pairwise(order)):
            told = f"partitions in the order {', '.join(f'{t}[{p}]' for t, p in names)}"
            yield _Schedule("partitions", told, (_Delivery(order),))


def _mixed(count: int, dice: Random) -> Iterator[_Delivery]:
    """Batches of any size; some are killed, of some the offset is not stored."""
    offset = 0
    for _ in range(_BATCHES_OF_A_MIXED_MAX):
        end = dice.randint(offset, count)
        killed = dice.random() < 0.3
        if end > offset:
            last = dice.randrange(offset, end) if killed else None
            yield _Delivery(tuple(range(offset, end)), killed_at=last)
        if not killed and dice.random() < 0.6:
            offset = end
    if offset < count:
        yield _Delivery(tuple(range(offset, count)))
