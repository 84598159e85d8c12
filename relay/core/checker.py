"""The checker: what writers meant, compared with what stands in Kafka (invariants I1 to I7, I13).

Judged after the fault has healed and the relay has drained, over every partition from offset 0. No
I/O, so that the demo's proof, the fault tests and the model all judge by the same rules.

    I1 no loss      every committed event is in Kafka or parked; an unknown one if and only if its
                    row is in the database
    I2 no phantom   nothing of a rolled back transaction or savepoint, nothing that nobody wrote
    I3 order        per key, first appearances follow commit order; a gap only where one is parked
    I4 no stale     an old n after a newer one: never in transactional mode, else only as an id
                    that was seen before
    I5 duplicates   no more than allowed; same id, same bytes, same partition
    I6 bytes        topic, key, value and headers are what was written
    I7 partition    the Java client's, for every key that is not null
    I13 replay      only of what was published before; it counts for none of I1 to I5

Trap: order is judged within one partition, since Kafka has none between two. A key in two
partitions is an I7 (and, for one id, an I5); it is not reported as a false I3 as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from relay.core.history import (
    History,
    Meant,
    Outcome,
    Seen,
    by_id,
    difference,
    payload_hash,
    same_record,
    seen_record,
    why_refused,
)
from relay.core.murmur2 import java_partition
from relay.core.verdict import Verdict, Violation

__all__ = [
    "History",
    "Meant",
    "Outcome",
    "Seen",
    "Verdict",
    "Violation",
    "check",
    "payload_hash",
    "seen_record",
]

# A run that loses everything has a million violations and one cause: a hundred of each tell it.
_REPORTED_PER_INVARIANT_MAX = 100


def check(
    history: History,
    *,
    partitions: Mapping[str, int],
    max_duplicates: int | None = None,
    transactional: bool = False,
) -> Verdict:
    """Judge a history by I1 to I7 and I13.

    Args:
        history: Meant, log and parked ids. The log is read once.
        partitions: How many partitions each topic of the history has.
        max_duplicates: Records allowed beyond the first of their id; None allows any number.
        transactional: Judge as a `read_committed` consumer of the transactional mode: no duplicate
            at all, and never an old n.

    Returns:
        Counts, and violations: all are counted, the first 100 of each invariant are kept.

    Raises:
        ValueError: The history itself is impossible, so no verdict on it would mean anything.
    """
    judge = _Judge(history, partitions, 0 if transactional else max_duplicates, transactional)
    for record in history.log:
        judge.read(record)
    judge.find_lost()
    judge.find_parked_phantoms()
    return judge.verdict()


class _Judge:
    def __init__(
        self,
        history: History,
        partitions: Mapping[str, int],
        max_duplicates: int | None,
        transactional: bool,
    ) -> None:
        self._parked = history.parked
        self._partitions = partitions
        self._max_duplicates = max_duplicates
        self._transactional = transactional
        self._standing, self._refused = by_id(history.meant)
        self._first: dict[str, Seen] = {}
        self._last_offset: dict[tuple[str, int], int] = {}
        # Per place and key, the newest event so far and where it stands.
        self._newest: dict[tuple[str, int, str], tuple[int, Seen]] = {}
        self._partition_of: dict[tuple[str, str], int] = {}
        self._phantoms: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._violations: dict[str, list[Violation]] = {}

    def read(self, record: Seen) -> None:
        self._require_rising_offset(record)
        meant = self._standing.get(record.event_id)
        if meant is None:
            self._phantom(record)
            return
        if record.is_replayed:
            self._replay(record, meant)
            return
        first = self._first.setdefault(record.event_id, record)
        if first is not record:
            self._repeat(record, first)
        if fault := difference(record, meant):
            self._report("I6", "wrong_bytes", record, fault)
        if meant.key is not None and record.topic == meant.topic:
            self._partition(record, meant.key)
            self._order(record, meant.n, meant.key, again=first is not record)

    def _require_rising_offset(self, record: Seen) -> None:
        where = (record.topic, record.partition)
        last = self._last_offset.get(where, -1)
        if record.offset <= last:
            raise ValueError(f"log not in offset order: {record.place} came after offset {last}")
        self._last_offset[where] = record.offset

    def _phantom(self, record: Seen) -> None:
        if record.event_id in self._phantoms:
            return
        self._phantoms.add(record.event_id)
        meant = self._refused.get(record.event_id)
        unknown = meant is not None and meant.outcome is Outcome.UNKNOWN
        fault = f"is published, but {why_refused(meant)}"
        self._report("I1" if unknown else "I2", "phantoms", record, fault)

    def _repeat(self, record: Seen, first: Seen) -> None:
        self._counts["duplicates"] += 1
        limit = self._max_duplicates
        if limit is not None and self._counts["duplicates"] > limit:
            fault = f"is a duplicate, and {limit} are allowed"
            self._report("I5", "too_many_duplicates", record, fault, first)
        if (record.topic, record.partition) != (first.topic, first.partition):
            self._report("I5", "split", record, "was in another partition before", first)
        if not same_record(record, first):
            fault = "has other bytes than on its first appearance"
            self._report("I5", "wrong_bytes", record, fault, first)

    def _replay(self, record: Seen, meant: Meant) -> None:
        """Bytes and, but in another topic, the partition are those of before."""
        self._counts["replayed"] += 1
        if fault := difference(record._replace(topic=meant.topic), meant):
            self._report("I6", "wrong_bytes", record, fault)
        if record.topic != meant.topic:
            return
        if meant.key is not None:
            self._partition(record, meant.key)
        if record.event_id not in self._first and record.event_id not in self._parked:
            self._report("I13", "replayed_early", record, "is replayed, and was not published")

    def _partition(self, record: Seen, key: str) -> None:
        expected = self._expected_partition(record.topic, key)
        if record.partition != expected:
            fault = f"belongs into partition {expected} by the Java client's murmur2"
            self._report("I7", "wrong_partition", record, fault)

    def _order(self, record: Seen, n: int, key: str, *, again: bool) -> None:
        where = (record.topic, record.partition, key)
        newest_n, newest = self._newest.get(where, (n - 1, record))
        if n > newest_n:
            self._newest[where] = (n, record)
        elif n < newest_n:
            fault = f"(n={n}) comes after n={newest_n} of its key"
            if not again:
                self._report("I3", "out_of_order", record, fault, newest)
            if self._transactional or not again:
                self._report("I4", "stale_after_new", record, fault, newest)

    def find_lost(self) -> None:
        for event_id, meant in self._standing.items():
            if event_id not in self._first and event_id not in self._parked:
                self._lost(meant)

    def _lost(self, meant: Meant) -> None:
        if meant.key is None:
            self._report_absent("I1", "lost", meant, "is in no partition")
            return
        partition = self._expected_partition(meant.topic, meant.key)
        end = self._last_offset.get((meant.topic, partition), -1)
        fault = f"(n={meant.n}) is not in partition {partition}, read to offset {end}"
        self._report_absent("I1", "lost", meant, fault, partition, end)
        newest_n, newest = self._newest.get((meant.topic, partition, meant.key), (-1, None))
        if newest is not None and newest_n > meant.n:
            fault = f"(n={meant.n}) is left out before n={newest_n} at {newest.place}"
            self._report_absent("I3", "out_of_order", meant, fault, partition, newest.offset)

    def find_parked_phantoms(self) -> None:
        for event_id in sorted(self._parked - self._standing.keys()):
            meant = self._refused.get(event_id)
            key = None if meant is None else meant.key
            sentence = f"event {event_id} key {key!r} is parked, but {why_refused(meant)}"
            self._keep("phantoms", Violation("I2", sentence, event_id, key, None, ()))

    def _expected_partition(self, topic: str, key: str) -> int:
        known = self._partition_of.get((topic, key))
        if known is None:
            if topic not in self._partitions:
                raise ValueError(f"the number of partitions of topic {topic!r} was not given")
            raw = key.encode("utf-8", "surrogateescape")
            known = java_partition(raw, self._partitions[topic])
            self._partition_of[topic, key] = known
        return known

    def _report(
        self, invariant: str, count: str, record: Seen, fault: str, other: Seen | None = None
    ) -> None:
        sentence = f"event {record.event_id} key {record.key!r} at {record.place} {fault}"
        offsets: tuple[int, ...] = (record.offset,)
        if other is not None:
            sentence += f" (event {other.event_id} at {other.place})"
            offsets = (other.offset, record.offset)
        found = Violation(
            invariant, sentence, record.event_id, record.key, record.partition, offsets
        )
        self._keep(count, found)

    def _report_absent(
        self,
        invariant: str,
        count: str,
        meant: Meant,
        fault: str,
        partition: int | None = None,
        *offsets: int,
    ) -> None:
        sentence = f"event {meant.event_id} key {meant.key!r} of topic {meant.topic} {fault}"
        found = Violation(invariant, sentence, meant.event_id, meant.key, partition, offsets)
        self._keep(count, found)

    def _keep(self, count: str, found: Violation) -> None:
        self._counts[count] += 1
        kept = self._violations.setdefault(found.invariant, [])
        if len(kept) < _REPORTED_PER_INVARIANT_MAX:
            kept.append(found)

    def verdict(self) -> Verdict:
        counts = self._counts
        found = self._violations
        return Verdict(
            committed=len(self._standing),
            published_unique=len(self._first),
            duplicates=counts["duplicates"],
            lost=counts["lost"],
            phantoms=counts["phantoms"],
            out_of_order=counts["out_of_order"],
            stale_after_new=counts["stale_after_new"],
            wrong_bytes=counts["wrong_bytes"],
            wrong_partition=counts["wrong_partition"],
            split=counts["split"],
            replayed=counts["replayed"],
            replayed_early=counts["replayed_early"],
            violations=tuple(one for invariant in sorted(found) for one in found[invariant]),
        )
