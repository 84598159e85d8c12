"""What the records of the fake database's log amount to, one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from relay.core.cursor import Cursor
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

__all__ = ["FIRST_XID", "Memory"]

FIRST_XID = 3


@dataclass
class Memory:
    """What the records so far amount to."""

    next_xid: int = FIRST_XID
    newest_ended: int = FIRST_XID - 1
    next_position: int = 1
    in_progress: dict[int, list[Event]] = field(default_factory=dict)
    prepared: set[int] = field(default_factory=set)
    committed: list[Event] = field(default_factory=list)
    entries: list[Cursor] = field(default_factory=list)
    lease: LeaseRow = field(default_factory=LeaseRow)
    gone: set[int] = field(default_factory=set)
    milestones: list[Marked] = field(default_factory=list)
    desk: Desk = field(default_factory=Desk)
    led: list[Led] = field(default_factory=list)

    def take(self, record: Record) -> None:
        match record:
            case Wrote(xid, subxid, event):
                self.next_xid = max(self.next_xid, (subxid or xid) + 1)
                events = self.in_progress.setdefault(xid, [])
                self._emit(events, event)
            case RolledBackTo(xid, subxid):
                kept = [one for one in self.in_progress[xid] if one.subxid != subxid]
                self.in_progress[xid] = kept
                self.newest_ended = max(self.newest_ended, subxid)
            case Prepared(xid):
                self.prepared.add(xid)
            case Ended(xid, committed):
                self._end(xid, committed)
            case Appended(entry, desk):
                self.entries.append(entry)
                self.desk = desk or self.desk
            case Operated(desk):
                self.desk = desk
            case Leased(row):
                self.lease = row
            case Truncated(positions, numbers):
                self.gone |= positions
                self.entries = [one for one in self.entries if one.number not in numbers]
            case Marked():
                self.milestones.append(record)
            case Jumped(position):
                self.next_position = position
            case Restored(dump, xid):
                self._read_in(dump, xid)
            case Noted(led):
                self.led += led
                self.milestones = [] if len(led) > 1 else self.milestones

    def _read_in(self, dump: Dump, xid: int) -> None:
        self.next_xid, self.newest_ended = xid + 1, xid
        self.next_position = dump.next_position
        self.committed = [replace(event, xmin=xid) for event in dump.events]
        self.led = [replace(row, xmin=xid) for row in dump.led]
        self.gone, self.entries = set(dump.gone), list(dump.entries)
        self.milestones = list(dump.milestones)
        self.lease, self.desk = dump.lease, dump.desk

    def _emit(self, events: list[Event], event: Event | None) -> None:
        if event is not None:
            events.append(event)
            self.next_position = event.position + 1

    def _end(self, xid: int, committed: bool) -> None:
        events = self.in_progress.pop(xid)
        self.prepared.discard(xid)
        self.newest_ended = max(self.newest_ended, xid)
        if committed:
            self.committed += sorted(events, key=lambda one: one.position)

    def recover(self) -> None:
        """After the last record: whatever is neither ended nor prepared was rolled back."""
        self.in_progress = {
            x: events for x, events in self.in_progress.items() if x in self.prepared
        }
        self.newest_ended = self.next_xid - 1
