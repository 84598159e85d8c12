"""A broker that may say nothing, take a part, or refuse, and the sink that writes to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from relay.core import inputs as told
from relay.core.checker import Seen, seen_record
from relay.core.envelope import envelope
from relay.core.murmur2 import java_partition

__all__ = ["PARTITIONS", "Doubt", "FakeBroker", "FakeSink"]

PARTITIONS = 2

Partitioned = dict[int, list[told.Row]]


@dataclass(frozen=True)
class Doubt:
    """How one send goes wrong: of each partition so many records arrive, and so many more later,
    when the client has long thrown its producer away."""

    arrive: Sequence[int]
    arrive_late: Sequence[int]


@dataclass
class FakeBroker:
    """The log of a topic, and what will go wrong."""

    records: list[Seen] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    doubt: Doubt | None = None
    under_way: list[tuple[int, told.Row, int]] = field(default_factory=list)

    def append(self, partition: int, row: told.Row, number: int) -> None:
        _, _, topic, key, *_ = row
        headers = [
            (name, value.encode() if isinstance(value, str) else value)
            for name, value in envelope("/model", "one-epoch", number)(row)
        ]
        self.records.append(
            seen_record(
                topic=topic,
                partition=partition,
                offset=len(self.records),
                key=None if key is None else key.encode(),
                value=row[6],
                headers=headers,
            )
        )

    def deliver_what_is_under_way(self) -> int:
        """How many records of doubtful sends arrive only now."""
        late, self.under_way = self.under_way, []
        for partition, row, number in late:
            self.append(partition, row, number)
        return len(late)


class FakeSink:
    """See Sink. Of one send each partition receives a prefix, as of the idempotent producer."""

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker

    def send(self, rows: told.Rows, number: int, keep_going: Callable[[], bool]) -> told.Input:
        if not keep_going():
            return told.Lost()
        doubt, self._broker.doubt = self._broker.doubt, None
        if doubt is not None:
            self._send_in_doubt(_partitioned(rows), number, doubt)
            return told.Doubtful("no answer")
        taken = {p: self._until_refused(part) for p, part in _partitioned(rows).items()}
        self._append(taken, number)
        if sum(map(len, taken.values())) < len(rows):
            return told.Refused("not allowed")
        return told.Acked()

    def serve(self) -> None:
        """Says nothing of its connections."""

    def discard(self) -> None:
        """Nothing stays queued between two sends."""

    def _send_in_doubt(self, parts: Partitioned, number: int, doubt: Doubt) -> None:
        self._append({p: part[: doubt.arrive[p]] for p, part in parts.items()}, number)
        self._broker.under_way += [
            (p, row, number)
            for p, part in parts.items()
            for row in part[doubt.arrive[p] : doubt.arrive[p] + doubt.arrive_late[p]]
        ]

    def _until_refused(self, part: list[told.Row]) -> list[told.Row]:
        refused = self._broker.refused
        ends = (at for at, row in enumerate(part) if told.event_id(row) in refused)
        return part[: next(ends, len(part))]

    def _append(self, parts: Partitioned, number: int) -> None:
        for partition, part in parts.items():
            for row in part:
                self._broker.append(partition, row, number)


def _partitioned(rows: told.Rows) -> Partitioned:
    parts: Partitioned = {}
    for row in rows:
        key = row[3]
        partition = 0 if key is None else java_partition(key.encode(), PARTITIONS)
        parts.setdefault(partition, []).append(row)
    return parts
