"""Whether what was published is in the topics: nothing lost, invented, reordered or changed.

Two witnesses: the rows that are still kept, in the order of the windows that published them, and
the records of the topics. The checker judges, as it does in the tests; here stands what is put
before it, and what is kept from it because one of the witnesses cannot know any more:

- Only windows up to C of the beginning are looked at. What is published meanwhile is no part of it.
- A record belongs to the span by its place (`ce_sequence`). One of an earlier or a later window, of
  another source, or without our headers is counted and not judged. One within the span that no row
  knows is invented, unless the leaf of its position was emptied: then the row may have been there.
- A row without a record is lost, unless it is parked or discarded, or the topic itself has removed
  the record: by its retention, if the partition now begins behind the event's place; by compaction,
  if a later event of its key is there, or if it is a tombstone.
- A record that is marked as replayed counts for nothing but its own bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from itertools import chain
from zlib import crc32

from relay.admin.buckets import Buckets, Written
from relay.core.checker import History, Meant, Outcome, Seen, Verdict, Violation, check
from relay.core.history import RELEASED_HEADER, payload_hash
from relay.core.murmur2 import java_partition
from relay.core.replay import Selection
from relay.core.span import Place, Placed, Span
from relay.kafka.log_reader import LogReader, TopicLog
from relay.postgres.retained import Retained, Stretch

__all__ = ["CLOCKS_APART_MAX_S", "Verified", "verify"]

CLOCKS_APART_MAX_S = 300.0
"""By how much the clocks of the database and of whoever stamps the records may differ."""

VIOLATIONS_KEPT_MAX = 100


@dataclass
class Verified:
    """What was found.

    Attributes:
        span: the windows that were looked at; None if none was within.
        events: published in them, as far as their rows are kept.
        counts: the checker's, by the names of `Verdict`.
        removed: events whose records the topic itself has removed.
        unpublished: parked or discarded.
        gone: rows that were emptied away while they were read.
        unknown: records whose rows, if there are any, are kept no longer or of an earlier time.
        replays_of_others: replayed records of events outside the span.
        foreign: records of other sources, or without our headers.
        missing_topics: topics of events that the broker does not have.
        violations: the first of them, by the events' places.
    """

    span: Span | None = None
    events: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    removed: int = 0
    unpublished: int = 0
    gone: int = 0
    unknown: int = 0
    replays_of_others: int = 0
    foreign: int = 0
    missing_topics: list[str] = field(default_factory=list)
    violations: list[tuple[Place, Violation]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.violations


def verify(
    retained: Retained,
    reader: LogReader,
    source: str,
    stretch: Stretch,
    topic: str | None,
    on_read: Callable[[str, int], None],
) -> Verified:
    """Compare the events of a stretch with what stands in their topics.

    Args:
        source: `ce_source` of the events.
        topic: of this one only; None is every topic that an event of the stretch is of.
        on_read: told "events" or "records", and how many more were read.

    Raises:
        Unreachable: the database or the broker is away.
    """
    found = Verified(retained.bounds(stretch))
    if found.span is None:
        return found
    chosen = Selection(topic=topic)
    counted = retained.count(found.span, chosen)
    with Buckets(sum(counted.values())) as buckets:
        for page in retained.read(stretch, chosen):
            for placed in page:
                buckets.write(_written(placed, source))
            found.events += len(page)
            on_read("events", len(page))
        found.unpublished = retained.unpublished
        found.gone = sum(counted.values()) - retained.seen
        bench = _Bench(retained, source, found, found.span)
        topics = sorted(counted.keys() | ({topic} if topic is not None else set()))
        for record in chain.from_iterable(bench.records(reader, name, on_read) for name in topics):
            buckets.see(record)
        for bucket in range(buckets.count):
            bench.judge(buckets, bucket)
    found.violations.sort(key=lambda one: one[0])
    del found.violations[VIOLATIONS_KEPT_MAX:]
    return found


def _written(placed: Placed, source: str) -> Written:
    _, event_id, topic, key, kind, content_type, payload, time, extra = placed.row
    told = {"ce_specversion": "1.0", "ce_id": event_id, "ce_source": source, "ce_type": kind}
    told |= {"ce_time": time, "content-type": content_type}
    headers = {**told, **json.loads(extra or "{}")}
    return Written(placed.place, event_id, topic, key, payload_hash(payload), headers)


def _place(record: Seen) -> Place | None:
    """Where the record says that it belongs; None if it does not, or not as our relay writes it."""
    try:
        return Place.parse(record.headers.get("ce_sequence", ""))
    except ValueError:
        return None


class _Bench:
    """Where records are sorted, and buckets judged."""

    def __init__(self, retained: Retained, source: str, found: Verified, span: Span) -> None:
        self._retained = retained
        self._source = source
        self._found = found
        self._before, *_, self._last = span.cuts
        self._logs: dict[str, TopicLog] = {}
        # A topic that is missing has lost all: one partition will do to say so.
        self._partitions: dict[str, int] = {}
        # Of each partition the first place that is there, of those that are of the stream.
        self._first: dict[tuple[str, int], Place] = {}

    def records(
        self, reader: LogReader, topic: str, on_read: Callable[[str, int], None]
    ) -> Iterator[Seen]:
        """The records of a topic that may belong to the span."""
        log = reader.find(topic, self._before.at_s - CLOCKS_APART_MAX_S)
        self._partitions[topic] = 1 if log is None else len(log.ends)
        if log is None:
            self._found.missing_topics.append(topic)
            return
        self._logs[topic] = log
        for record in reader.read(log):
            on_read("records", 1)
            if record.headers.get("ce_source") != self._source:
                self._found.foreign += 1
            elif self._may_belong(record):
                yield record

    def _may_belong(self, record: Seen) -> bool:
        place = _place(record)
        if record.is_replayed or place is None:
            return True
        where = (record.topic, record.partition)
        self._first[where] = min(self._first.get(where, place), place)
        return self._before.number < place.window <= self._retained.published.number

    def judge(self, buckets: Buckets, bucket: int) -> None:
        """Hold one bucket's records against its events."""
        written: dict[str, Written] = {}
        for event in buckets.written(bucket):
            written.setdefault(event.event_id, event)
        log = [one for one in buckets.seen(bucket) if self._is_judged(one, written)]
        absent = self._removed(written, log)
        self._found.removed += len(absent)
        history = History(_meant(written), log, frozenset(absent))
        verdict = check(history, partitions=self._partitions)
        self._add(verdict, written, log)

    def _is_judged(self, record: Seen, written: dict[str, Written]) -> bool:
        """Whether a record that no row knows says that one should."""
        if record.event_id in written:
            return True
        if record.is_replayed:
            self._found.replays_of_others += 1
            return False
        if RELEASED_HEADER in record.headers:
            # Its window is that of its release; its row is of an earlier one.
            self._found.unknown += 1
            return False
        place = _place(record)
        if place is None:
            return True
        if place.window > self._last.number:
            return False
        if self._retained.is_kept(place.position):
            return True
        self._found.unknown += 1
        return False

    def _removed(self, written: dict[str, Written], log: list[Seen]) -> set[str]:
        """Events of which the topic itself has removed every record of the stream."""
        there = {one.event_id for one in log if not one.is_replayed}
        newest: dict[tuple[str, str | None], Place] = {}
        for one in written.values():
            if one.event_id in there:
                known = newest.get((one.topic, one.key), one.place)
                newest[one.topic, one.key] = max(known, one.place)
        return {
            one.event_id
            for one in written.values()
            if one.event_id not in there and self._is_removed(one, newest.get((one.topic, one.key)))
        }

    def _is_removed(self, one: Written, newest_of_key: Place | None) -> bool:
        log = self._logs.get(one.topic)
        if log is None:
            return False
        if log.is_compacted and one.key is not None:
            if one.payload_hash is None:
                return True
            if newest_of_key is not None and newest_of_key > one.place:
                return True
        partition = _partition(one, len(log.ends))
        first = self._first.get((one.topic, partition))
        return partition in log.trimmed and (first is None or one.place < first)

    def _add(self, verdict: Verdict, written: dict[str, Written], log: list[Seen]) -> None:
        for one in fields(verdict):
            if one.name != "violations":
                self._found.counts[one.name] += getattr(verdict, one.name)
        places = {one.event_id: _place(one) or Place(0, 0) for one in log}
        places |= {event_id: one.place for event_id, one in written.items()}
        self._found.violations += [(places[one.event_id], one) for one in verdict.violations]


def _meant(written: dict[str, Written]) -> list[Meant]:
    """Numbered within each key, in the order of publication."""
    newest: Counter[str] = Counter()
    meant = []
    for one in written.values():
        if one.key is not None:
            newest[one.key] += 1
        n = 0 if one.key is None else newest[one.key]
        event_id, payload = one.event_id, one.payload_hash
        stands = Outcome.COMMITTED
        meant.append(Meant("", one.key, n, event_id, one.topic, payload, one.headers, stands))
    return meant


def _partition(one: Written, partitions: int) -> int:
    if one.key is None:
        return crc32(one.event_id.encode()) % partitions
    return java_partition(one.key.encode(), partitions)
