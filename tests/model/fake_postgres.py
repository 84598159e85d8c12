"""PostgreSQL as far as the relay can tell: transaction ids, snapshots, a log that is flushed late.

All that the database knows is what its log says, record by record. A crash keeps the records that
were flushed and forgets the others, so what a crash can take back is not modelled case by case: it
follows. Two things come out as in the real one and are what the cursor must survive:

- A transaction's id is handed out at its first write, long before its commit, and before it waits
  for a key's lock; an id whose records were not flushed is handed out again after a crash.
- A commit that does not wait for its flush is visible at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from relay.core.cursor import Cursor
from relay.core.retention import Milestone
from relay.core.snapshot import Snapshot
from relay.errors import Unreachable
from tests.model.fake_memory import FIRST_XID, Memory
from tests.model.fake_parking import Desk
from tests.model.fake_records import (
    Appended,
    Dump,
    Ended,
    Event,
    Jumped,
    Leased,
    LeaseRow,
    Led,
    Marked,
    Noted,
    Operated,
    Prepared,
    Record,
    Restored,
    RolledBackTo,
    Truncated,
    Wrote,
)

if TYPE_CHECKING:
    from tests.model.fake_wakeup import FakeWakeup

__all__ = ["FIRST_XID", "Event", "FakePostgres", "LeaseRow", "Session", "Transaction"]


class FakePostgres:
    """One server, its one database, and its clock."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.incarnation = 0
        self.timeline = 1
        self.system = self.homes = 1
        self._log: list[Record] = []
        self._flushed = 0
        self._memory = Memory()
        self._locks: dict[str, int] = {}
        self.awake: set[int] = set()
        self.sleeper: FakeWakeup | None = None
        self._stamps = 0
        nothing = Snapshot(1, 1, frozenset())
        self._append(Appended(Cursor(0, 0, nothing, nothing, closed=True)))
        self.flush()

    @property
    def committed(self) -> list[Event]:
        """The events that are there, in commit order; of one transaction by position."""
        return self._memory.committed

    @property
    def standing(self) -> list[Event]:
        """Those of them that stand in the table still."""
        return [one for one in self._memory.committed if one.position not in self._memory.gone]

    @property
    def open_events(self) -> list[Event]:
        """Those of transactions in progress, prepared ones too."""
        return [one for events in self._memory.in_progress.values() for one in events]

    @property
    def milestones(self) -> list[Marked]:
        """In the order of writing."""
        return self._memory.milestones

    @property
    def entries(self) -> list[Cursor]:
        """The log of windows, in the order of writing."""
        return self._memory.entries

    @property
    def desk(self) -> Desk:
        """What is parked and held."""
        return self._memory.desk

    @property
    def lease(self) -> LeaseRow:
        return self._memory.lease

    @property
    def prepared(self) -> list[int]:
        return sorted(self._memory.prepared)

    def snapshot(self) -> Snapshot:
        """As pg_current_snapshot(): what ended, up to the newest that did."""
        xmax = self._memory.newest_ended + 1
        xip = frozenset(xid for xid in self._memory.in_progress if xid < xmax)
        return Snapshot(min(xip, default=xmax), xmax, xip)

    def begin(self) -> Transaction:
        return Transaction(self)

    def end_prepared(self, xid: int, *, commit: bool) -> None:
        """COMMIT PREPARED or ROLLBACK PREPARED; either waits for its flush."""
        self.end(xid, commit=commit, synchronous=True)

    def flush(self, records: int | None = None) -> None:
        """Flush so many records more; all of them by default."""
        ahead = len(self._log) - self._flushed
        self._flushed += ahead if records is None else min(records, ahead)

    def crash(self) -> None:
        """Stop at once and start again: what was not flushed has never been."""
        del self._log[self._flushed :]
        self._memory = Memory()
        for record in self._log:
            self._memory.take(record)
        self._memory.recover()
        self._locks = {
            one.key: xid
            for xid, events in self._memory.in_progress.items()
            for one in events
            if one.key is not None
        }
        # Locks of sessions went with them; those of prepared transactions are read from the log.
        self.awake &= self._memory.prepared
        self.sleeper = None
        self.incarnation += 1

    @property
    def epoch(self) -> str:
        """What a relay that leads from now on puts into its records."""
        return f"epoch-{self.system}-{self.homes}-{self.timeline}"

    @property
    def led(self) -> list[Led]:
        """Where relays have led, in order."""
        return self._memory.led

    def note(self, *entries: tuple[int, int]) -> None:
        """A relay leads here: a numbering and its floor, or two of them after a restore."""
        led = tuple(Led(self.epoch, self.system, number, floor) for number, floor in entries)
        self._store(Noted(led), synchronous=True)

    def promote_standby(self, records_behind: int) -> None:
        """A standby takes over that had not got so many of the flushed records.

        The first record it always has: the log of windows is never empty.
        """
        self._flushed = max(1, self._flushed - records_behind)
        self.crash()
        self.timeline += 1

    def dump(self) -> Dump:
        """As pg_dump: what is committed now; no transaction in progress, nor a prepared one."""
        memory = self._memory
        return Dump(
            tuple(memory.committed),
            frozenset(memory.gone),
            tuple(memory.entries),
            tuple(memory.led),
            tuple(memory.milestones),
            memory.lease,
            memory.desk,
            memory.next_position,
        )

    def restore(self, dump: Dump, xid: int, *, elsewhere: bool) -> None:
        """Everything goes on where transaction `xid` read the dump in; `elsewhere`: in a cluster of
        another identifier."""
        self._log = [Restored(dump, xid)]
        self._flushed = 1
        self.crash()
        self.homes += 1
        self.system += elsewhere

    def upgrade(self) -> None:
        """Everything goes on in another cluster that has the files, and counts on (pg_upgrade)."""
        assert not self.prepared, "pg_upgrade refuses them"
        self.flush()
        self.crash()
        self.system += 1

    # What sessions do

    def store_entry(
        self, entry: Cursor, desk: Desk | None = None, *, synchronous: bool = True
    ) -> None:
        self._store(Appended(entry, desk), synchronous=synchronous)

    def operate(self, desk: Desk) -> None:
        self._store(Operated(desk), synchronous=True)

    def store_lease(self, **changes: object) -> None:
        self._store(Leased(replace(self.lease, **changes)), synchronous=True)  # type: ignore[arg-type]  # by name

    def truncate(
        self, positions: frozenset[int] = frozenset(), numbers: frozenset[int] = frozenset()
    ) -> None:
        self._store(Truncated(positions, numbers), synchronous=True)

    def mark(self, milestone: Milestone) -> None:
        self._store(Marked(milestone, self.now_s), synchronous=True)

    def jump(self, position: int) -> None:
        """As setval() does: never back."""
        self._append(Jumped(position))
        self.flush()

    def next_stamp(self) -> int:
        """What a clock would say: never the same twice, whatever the server forgets."""
        self._stamps += 1
        return self._stamps

    def new_xid(self) -> int:
        return self._memory.next_xid

    def new_position(self) -> int:
        return self._memory.next_position

    def write(self, record: Wrote | RolledBackTo) -> None:
        self._append(record)

    def prepare(self, xid: int) -> None:
        self._append(Prepared(xid))
        self.flush()

    def end(self, xid: int, *, commit: bool, synchronous: bool) -> None:
        self._append(Ended(xid, commit))
        self.awake.discard(xid)
        self._locks = {key: holder for key, holder in self._locks.items() if holder != xid}
        if synchronous:
            self.flush()

    def lock(self, key: str, xid: int) -> bool:
        """Whether `xid` has the lock of `key` now; if not, another holds it."""
        return self._locks.setdefault(key, xid) == xid

    def _store(self, record: Record, *, synchronous: bool) -> None:
        xid = self.new_xid()
        for one in (Wrote(xid), record):
            self._append(one)
        self.end(xid, commit=True, synchronous=synchronous)

    def _append(self, record: Record) -> None:
        self._log.append(record)
        self._memory.take(record)


class Session:
    """A connection of the relay: it ends with the server that it was made to."""

    def __init__(self, database: FakePostgres) -> None:
        self._database = database
        self._incarnation = database.incarnation

    @property
    def lives(self) -> bool:
        """Whether the server is still the one that this session was made to."""
        return self._database.incarnation == self._incarnation

    @property
    def database(self) -> FakePostgres:
        """The server; raises Unreachable when it is not the one that this session was made to."""
        if not self.lives:
            raise Unreachable("database: the connection is lost")
        return self._database


class Transaction:
    """A writer's transaction."""

    def __init__(self, database: FakePostgres) -> None:
        self._database = database
        self._subxid: int | None = None
        self._in_savepoint = False
        self.xid: int | None = None
        self._awake_within: int | None = None
        self._notifies: list[FakeWakeup] = []

    def touch(self) -> int:
        """Write something that is no event, if nothing was written yet; the transaction's id."""
        if self.xid is None:
            self.xid = self._database.new_xid()
            self._database.write(Wrote(self.xid))
        return self.xid

    def emit(self, event_id: str, key: str | None) -> bool:
        """Write an event under the lock of its key; False, with the id spent, if it would wait."""
        xid = self.touch()
        if key is not None and not self._database.lock(key, xid):
            return False
        if self._in_savepoint and self._subxid is None:
            self._subxid = self._database.new_xid()
        self._wake()
        position = self._database.new_position()
        event = Event(position, xid, event_id, key, self._subxid)
        self._database.write(Wrote(xid, self._subxid, event))
        return True

    def savepoint(self) -> None:
        """Begin one; one that is open is released."""
        self._in_savepoint, self._subxid = True, None

    def rollback_to_savepoint(self) -> None:
        if self._subxid is not None and self.xid is not None:
            self._database.write(RolledBackTo(self.xid, self._subxid))
            if self._awake_within == self._subxid:
                self._database.awake.discard(self.xid)
                self._awake_within = None
        self._in_savepoint, self._subxid = False, None

    def commit(self, *, synchronous: bool = True) -> None:
        if self.xid is not None:
            self._database.end(self.xid, commit=True, synchronous=synchronous)
            for sleeper in self._notifies:
                sleeper.notified = True

    def rollback(self) -> None:
        if self.xid is not None:
            self._database.end(self.xid, commit=False, synchronous=False)

    def prepare(self) -> None:
        """PostgreSQL refuses it after a NOTIFY, and rolls back."""
        if self._notifies:
            self.rollback()
        elif self.xid is not None:
            self._database.prepare(self.xid)

    def _wake(self) -> None:
        """What the trigger does: the sleep lock, shared, or a notification at the commit."""
        if self.xid is None or self.xid in self._database.awake:
            return
        if self._database.sleeper is not None:
            self._notifies.append(self._database.sleeper)
            return
        self._database.awake.add(self.xid)
        self._awake_within = self._subxid


def visible(events: list[Event], snapshot: Snapshot) -> Iterator[Event]:
    """Those of committed `events` that `snapshot` sees."""
    return (one for one in events if snapshot.sees(one.txid))
