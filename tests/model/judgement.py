"""What is judged when all is over: walks of Hypothesis, and worlds of the simulation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from relay.core.checker import Meant, Outcome, Seen, payload_hash
from tests.model.fake_parking import TOPIC
from tests.model.fake_postgres import FakePostgres
from tests.model.marks_consumer import event_of

__all__ = ["Broken", "Violated", "broken_marks", "by_partition", "meant_by"]

Broken = tuple[str, str]
"""The invariant, and a sentence on how it is broken."""


class Violated(AssertionError):
    """What was promised did not hold."""


def meant_by(database: FakePostgres, written: Mapping[str, str | None]) -> list[Meant]:
    """Of all that was written (ids and keys), what stands in commit order, then what does not."""
    stand = dict.fromkeys(event.event_id for event in database.committed)
    numbers: Counter[str | None] = Counter()
    meant = []
    for event_id in [*stand, *sorted(written.keys() - stand.keys())]:
        key = written[event_id]
        outcome = Outcome.COMMITTED if event_id in stand else Outcome.ROLLED_BACK
        numbers[key] += outcome is Outcome.COMMITTED
        value = payload_hash(event_id.encode())
        meant.append(Meant("w", key, numbers[key], event_id, TOPIC, value, {}, outcome))
    return meant


def by_partition(records: Sequence[Seen]) -> list[Seen]:
    """The log as the checker reads it."""
    return sorted(records, key=lambda record: record.partition)


def broken_marks(
    records: Sequence[Seen], taken: Sequence[str], set_back: Set[str], *, forgets: bool
) -> Iterator[Broken]:
    """What is wrong with the places in a log, and with what a consumer with `marks` took of it.

    M1  inside one epoch a partition gets the events of a source in rising place, but for repeats
        and for what was parked, which a paused leader may still publish at the place it had, and
        for what was refused (`set_back`): a leader that dies before it has parked it leaves it to
        the next one, which publishes it at its place if it is refused no longer
    M2  the consumer takes every event that is in the log
    M3  it takes none twice; where it forgets ids, but for what was parked
    """
    moved = {one.event_id for one in records if "ce_outboxreleased" in one.headers}
    yield from _misplaced(one for one in records if one.event_id not in moved | set_back)
    times = Counter(taken)
    if lost := {record.event_id for record in records} - times.keys():
        yield "M2", f"{sorted(lost)} never taken"
    excused = moved if forgets else set()
    if twice := [one for one, count in times.items() if count > 1 and one not in excused]:
        yield "M3", f"{twice} taken more than once"


def _misplaced(records: Iterable[Seen]) -> Iterator[Broken]:
    marks: dict[tuple[int, str], str] = {}
    known: set[tuple[int, str, str]] = set()
    for record in records:
        event = event_of(record)
        within = record.partition, event.epoch
        is_repeat = (*within, event.event_id) in known
        is_below = event.place <= marks.get(within, "")
        if is_repeat != is_below:
            yield "M1", f"{event.event_id} at {event.place}"
        known.add((*within, event.event_id))
        marks[within] = max(event.place, marks.get(within, ""))
