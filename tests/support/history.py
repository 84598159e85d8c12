"""What writers meant to write and how it ended, put against what stands in the broker.

Commit order per key is known without the database's help: a writer draws a ticket from one counter
of this process while it holds the key's lock, and holds the lock to the commit. So the tickets of a
key rise in commit order, whatever transaction ids and positions were given out.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field

import psycopg

from relay.core.checker import History, Meant, Outcome, Verdict, check, payload_hash, seen_record
from relay.postgres.connect import connect
from relay.postgres.status_reader import read_status
from tests.support.consume import Record, read_topic
from tests.support.wait import until

PARTITIONS = 4
PAGE_POSITIONS = 8192
"""The promise: a crash repeats at most one page, which covers so many positions."""

_IN_FLIGHT = """
with newest as (select number, last_position, closed from outbox.window
                order by number desc, step desc limit 1),
     stood_open as (select n.last_position, o.snapshot as until, s.snapshot as since from newest n
                    join outbox.window o on o.number = n.number and o.step = 0
                    join outbox.window s on s.number = n.number - 1 and s.step = 0
                    where not n.closed),
     unsaved as (select e.position / %(page)s as page from outbox.event e, stood_open w
                 where e.position > w.last_position
                   and pg_visible_in_snapshot(e.txid, w.until)
                   and not pg_visible_in_snapshot(e.txid, w.since))
select count(*) from unsaved where page = (select min(page) from unsaved)
"""


@dataclass(slots=True)
class Written:
    """One event that a writer meant to write. Its outcome is always the worst that is possible, so
    that whatever ends the writer leaves the truth behind."""

    ticket: int
    writer: str
    topic: str
    key: str | None
    event_id: str
    type: str
    payload: bytes | None
    headers: Mapping[str, str]
    outcome: Outcome = Outcome.ROLLED_BACK

    def meant(self, n: int, *, in_database: bool) -> Meant:
        """As the checker reads it, with the relay's headers that follow from it."""
        told = {"ce_specversion": "1.0", "ce_source": "/test", "ce_type": self.type}
        return Meant(
            self.writer,
            self.key,
            n,
            self.event_id,
            self.topic,
            payload_hash(self.payload),
            {**told, "content-type": "application/json", **self.headers},
            self.outcome,
            in_database,
        )


@dataclass
class Ledger:
    """All that the writers of a test meant. Safe between threads."""

    topic: str
    written: list[Written] = field(default_factory=list)
    _ticket: itertools.count[int] = field(default_factory=itertools.count)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _ended: int = 0

    def write_down(
        self, writer: str, key: str | None, event_id: str, *, tombstone: bool = False
    ) -> Written:
        """Note an event before it is sent. The caller holds the key's lock, and keeps it to the
        commit."""
        ticket = next(self._ticket)
        payload = json.dumps({"writer": writer, "key": key, "ticket": ticket}).encode()
        one = Written(
            ticket=ticket,
            writer=writer,
            topic=self.topic,
            key=key,
            event_id=event_id,
            type=f"written.{ticket % 3}",
            payload=None if tombstone else payload,
            headers={"traceparent": f"00-{ticket:032x}-{1:016x}-01"} if ticket % 2 else {},
        )
        self.written.append(one)
        return one

    def transaction_ended(self) -> None:
        """Let `wait_for` see that a writer's transaction ended, one way or the other."""
        with self._changed:
            self._ended += 1
            self._changed.notify_all()

    def wait_for(self, transactions: int, timeout_s: float = 30.0) -> None:
        """Wait until so many more transactions have ended."""
        with self._changed:
            goal = self._ended + transactions
            reached = self._changed.wait_for(lambda: self._ended >= goal, timeout_s)
        assert reached, f"the writers did not end {transactions} transactions in {timeout_s:g} s"

    def meant(self, in_database: set[str]) -> list[Meant]:
        """In commit order per key; an event without a key, or that does not stand, has n 0."""
        newest: Counter[str] = Counter()
        return [
            one.meant(self._n(one, newest, in_database), in_database=one.event_id in in_database)
            for one in sorted(self.written, key=lambda one: one.ticket)
        ]

    @staticmethod
    def _n(one: Written, newest: Counter[str], in_database: set[str]) -> int:
        stands = one.outcome is Outcome.COMMITTED or (
            one.outcome is Outcome.UNKNOWN and one.event_id in in_database
        )
        if one.key is None or not stands:
            return 0
        newest[one.key] += 1
        return newest[one.key]


@dataclass(frozen=True)
class Proof:
    """What was found, with the records that it was found in."""

    verdict: Verdict
    records: list[Record]

    def places(self) -> dict[str, set[tuple[str, str]]]:
        """Of each event id the places (sequence, epoch) under which it was published."""
        found: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        for record in self.records:
            place = _text(record, "ce_sequence"), _text(record, "ce_outboxepoch")
            found[_text(record, "ce_id")].add(place)
        return found

    def ids(self) -> list[str]:
        """Event ids, by partition and offset."""
        return [_text(record, "ce_id") for record in self.records]

    def largest_window(self) -> int:
        """How many events the largest window had: what may be in flight where windows are
        smaller than a page."""
        windows = {
            (place[0][:19], one) for one, places in self.places().items() for place in places
        }
        return max(Counter(window for window, _ in windows).values())

    def positions(self) -> list[int]:
        """Positions in the order of the windows in which they were published."""
        places = sorted(_text(record, "ce_sequence") for record in self.records)
        return [int(place.partition(".")[2]) for place in places]


def wait_drained(url: str, timeout_s: float = 30.0) -> None:
    """Wait until nothing that is committed is pending."""
    with closing(connect(url, "test")) as connection:
        until(
            lambda: read_status(connection).pending == 0,
            timeout_s=timeout_s,
            what="nothing to be pending",
        )


def prove(
    ledger: Ledger,
    url: str,
    bootstrap_servers: str,
    *,
    max_duplicates: int | None = 0,
    isolation: str = "read_uncommitted",
) -> Proof:
    """Wait until all is published, and hold the broker against what was meant.

    `max_duplicates` None allows any number; `isolation` is the consumer's.

    Raises:
        AssertionError: one of I1 to I7 or I13 is broken; has a line for each violation.
    """
    wait_drained(url)
    records = read_topic(bootstrap_servers, ledger.topic, isolation=isolation)
    log = [
        seen_record(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            key=record.key,
            value=record.value,
            headers=record.headers,
        )
        for record in records
    ]
    history = History(ledger.meant(ids_in_database(url)), log)
    partitions = {ledger.topic: PARTITIONS}
    verdict = check(history, partitions=partitions, max_duplicates=max_duplicates)
    assert verdict.ok, verdict.report()
    return Proof(verdict, records)


def ids_in_database(url: str) -> set[str]:
    """Ids of all events that are committed."""
    with psycopg.connect(url) as connection:
        return {str(row[0]) for row in connection.execute("select id::text from outbox.event")}


def end_lease(url: str) -> None:
    """Spare a test the rest of the lease of a relay that is known to be dead."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("update outbox.lease set expires_at = '-infinity'")


def events_in_flight(url: str) -> int:
    """How many events a relay that was just killed may have sent without having stored it: what
    the first unfinished page of the open window holds."""
    with psycopg.connect(url) as connection:
        row = connection.execute(_IN_FLIGHT, {"page": PAGE_POSITIONS}).fetchone()
    assert row is not None
    return int(row[0])


def _text(record: Record, name: str) -> str:
    return (record.header(name) or b"").decode()
