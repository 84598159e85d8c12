"""A broker that may say nothing, take a part, or refuse, and the sink that writes to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from relay.core import inputs as told
from relay.core.checker import Seen, seen_record
from relay.core.envelope import envelope
from relay.core.murmur2 import java_partition
from relay.core.reached import Reached

__all__ = ["PARTITIONS", "Doubt", "FakeBroker", "FakeSink", "Transaction", "Transactions"]

PARTITIONS = 2

Partitioned = dict[int, list[told.Row]]

UnderWay = tuple[int, told.Row, int, str]
"""Partition, event, number of its window, epoch."""


@dataclass(frozen=True)
class Doubt:
    """How one send goes wrong: of each partition so many records arrive, and so many more later,
    when the client has long thrown its producer away."""

    arrive: Sequence[int]
    arrive_late: Sequence[int]

    def of(self, partition: int) -> tuple[int, int]:
        """Both for one partition; one that the topic got meanwhile fares as the first."""
        index = partition if partition < len(self.arrive) else 0
        return self.arrive[index], self.arrive_late[index]


@dataclass(frozen=True)
class Transaction:
    """One whose commit was asked for and may be carried out at any time, or never."""

    producer: int
    commit: Callable[[], None]


@dataclass
class Transactions:
    """Those of one transactional.id: the latest producer, what it left open, what was committed
    last."""

    producer: int = 0
    under_way: Transaction | None = None
    reached: Reached | None = None

    def init(self) -> int:
        """As init_transactions(): what is open is aborted, its producer is shut out."""
        self.under_way = None
        self.producer += 1
        return self.producer

    def commit_arrives(self) -> None:
        """Too late if another producer has begun meanwhile."""
        found, self.under_way = self.under_way, None
        if found is not None and found.producer == self.producer:
            found.commit()


@dataclass
class FakeBroker:
    """The log of a topic, and what will go wrong.

    Attributes:
        refused: events that it will never take, as it says of the batch they are in.
        too_large: events that it will never take, as is known before anything is handed over.
        missing: events that it will take later, by itself.
        set_back: what was refused at some time, and what stood behind it of its key.
        forbidden: whether the topic is refused whole.
    """

    records: list[Seen] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    too_large: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    forbidden: bool = False
    set_back: set[str] = field(default_factory=set)
    doubt: Doubt | None = None
    partitions: int = PARTITIONS
    under_way: list[deque[UnderWay]] = field(default_factory=list)
    transactions: Transactions = field(default_factory=Transactions)

    def append(self, partition: int, row: told.Row, number: int, epoch: str) -> None:
        _, _, topic, key, *_ = row
        headers = [
            (name, value.encode() if isinstance(value, str) else value)
            for name, value in envelope("/model", epoch, number)(row)
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

    def take_everything_again(self) -> None:
        for refusal in (self.refused, self.too_large, self.missing):
            refusal.clear()
        self.forbidden = False

    def deliver_late(self, queue: int, records_max: int) -> int:
        """How many records of a doubtful send arrive only now: the first of one partition."""
        if not self.under_way:
            return 0
        late = self.under_way[queue % len(self.under_way)]
        arriving = [late.popleft() for _ in range(min(records_max, len(late)))]
        for one in arriving:
            self.append(*one)
        self.under_way = [queue for queue in self.under_way if queue]
        return len(arriving)


class FakeSink:
    """See Sink. Of one send each partition receives a prefix, as of the idempotent producer."""

    def __init__(self, broker: FakeBroker, epoch: str = "one-epoch") -> None:
        self._broker = broker
        self._epoch = epoch

    def recover(self, keep_going: Callable[[], bool]) -> told.Input:
        return told.Recovered() if keep_going() else told.Lost()

    def send(
        self, rows: told.Rows, number: int, reached: Reached, keep_going: Callable[[], bool]
    ) -> told.Input:
        if not keep_going():
            return told.Lost()
        if known := self._known_in_advance(rows):
            refused = self._broker.too_large
            self._set_back(rows, set(map(told.event_id, rows)) if known.topic else refused)
            return known
        taken = {p: self._until_refused(part) for p, part in self._partitioned(rows).items()}
        doubt, self._broker.doubt = self._broker.doubt, None
        if doubt is not None:
            self._send_in_doubt(taken, number, doubt)
            return told.Doubtful("no answer")
        self._append(taken, number)
        left = {told.event_id(row) for row in rows} - {
            told.event_id(row) for part in taken.values() for row in part
        }
        if left:
            self._set_back(rows, left)
            return told.Refused("not allowed", passing=not left & self._broker.refused)
        return told.Acked()

    def _set_back(self, rows: told.Rows, refused: set[str]) -> None:
        """With them, what stands behind one of its key."""
        keys = {row[3] for row in rows if told.event_id(row) in refused}
        self._broker.set_back |= {told.event_id(row) for row in rows if row[3] in keys}

    def serve(self) -> None:
        """Says nothing of its connections."""

    def discard(self) -> None:
        """Nothing stays queued between two sends."""

    def _send_in_doubt(self, parts: Partitioned, number: int, doubt: Doubt) -> None:
        for partition, part in parts.items():
            at_once, late = doubt.of(partition)
            self._append({partition: part[:at_once]}, number)
            if queued := part[at_once : at_once + late]:
                queue = deque((partition, row, number, self._epoch) for row in queued)
                self._broker.under_way.append(queue)

    def _known_in_advance(self, rows: told.Rows) -> told.Refused | None:
        if self._broker.forbidden:
            return told.Refused("not authorised", told.topic(rows[0]))
        for row in rows:
            if told.event_id(row) in self._broker.too_large:
                return told.Refused("too large", position=told.position(row))
        return None

    def _until_refused(self, part: list[told.Row]) -> list[told.Row]:
        refused = self._broker.refused | self._broker.missing
        ends = (at for at, row in enumerate(part) if told.event_id(row) in refused)
        return part[: next(ends, len(part))]

    def _append(self, parts: Partitioned, number: int) -> None:
        for partition, part in parts.items():
            for row in part:
                self._broker.append(partition, row, number, self._epoch)

    def _partitioned(self, rows: told.Rows) -> Partitioned:
        parts: Partitioned = {}
        for row in rows:
            key = row[3]
            count = self._broker.partitions
            partition = 0 if key is None else java_partition(key.encode(), count)
            parts.setdefault(partition, []).append(row)
        return parts
