"""The relay's ports on the fake database. They pass the same tests as the real ones (contract/).

A planted bug replaces one of the pieces in `Reading`, or overrides a method.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby

from relay.core.cursor import Cursor
from relay.core.fleet import CLAIM_GOOD_S, HEIR_TAKES_WITHIN_S, Claim, Held, Renewed
from relay.core.inputs import Loaded, NothingAhead, Opened, Row, Rows, Saved, position
from relay.core.lease import LEASE_TTL_S
from relay.core.numbering import NOTHING, Numbering
from relay.core.parking import Parked
from relay.core.window import PAGE_BYTES_MAX, Chunk, Page, Window, pages_of
from relay.errors import Fenced
from tests.model.fake_parking import TOPIC, Desk
from tests.model.fake_postgres import Event, FakePostgres, Session

__all__ = ["FakeCursorStore", "FakeLeaseStore", "FakePageSource", "Reading", "newest"]


RELEASED = '{"ce_outboxreleased": "true"}'


def by_position(event: Event) -> int:
    return event.position


def in_window(database: FakePostgres, window: Window) -> list[Event]:
    """The events of a window, by the ranges of ids that the index would be asked for."""
    ranges = window.ranges()
    return [
        event
        for event in database.standing
        if window.above < event.position <= window.upto
        and any(low <= event.txid < high for low, high in ranges)
    ]


def newest(database: FakePostgres) -> Cursor:
    """The newest entry, with the C that stands in the log before it."""
    cursor = max(database.entries, key=lambda entry: (entry.number, entry.step))
    index = cursor.numbering.index
    before = [
        one.until
        for one in database.entries
        if (one.number, one.numbering.index) == (cursor.number - 1, index)
    ]
    floors = {led.numbering: led.floor for led in database.led if led.numbering}
    numbering = Numbering.of(index, tuple(floors[one] for one in sorted(floors)))
    return replace(cursor, since=before[0] if before else NOTHING, numbering=numbering)


@dataclass(frozen=True)
class Reading:
    """How windows are read. Blocks and pages are small, so that a few events fill several."""

    members: Callable[[FakePostgres, Window], list[Event]] = in_window
    order: Callable[[Event], int] = by_position
    chunk_bits: int = 2
    page_events_max: int = 3

    def plan(self, database: FakePostgres, window: Window, after: int) -> tuple[Page, ...]:
        """The pages of what a window holds beyond a position."""
        positions = sorted(
            event.position for event in self._held(database, window) if event.position > after
        )
        blocks = groupby(positions, key=lambda position: position >> self.chunk_bits)
        return pages_of(self._chunk(list(block)) for _, block in blocks)

    def page(self, database: FakePostgres, window: Window, page: Page) -> Rows:
        events = [
            event
            for event in self._held(database, window)
            if page.first_position <= event.position <= page.last_position
        ]
        headers = RELEASED if window.releases else None
        return [_row(event, headers) for event in sorted(events, key=self.order)[: page.limit]]

    def _held(self, database: FakePostgres, window: Window) -> list[Event]:
        return database.desk.releasing if window.releases else self.members(database, window)

    def _chunk(self, positions: list[int]) -> Chunk:
        bytes_max = PAGE_BYTES_MAX // self.page_events_max
        return Chunk(positions[0], positions[-1], len(positions), bytes_max)


def _row(event: Event, headers: str | None) -> Row:
    payload = event.event_id.encode()
    position, key = event.position, event.key
    return (position, event.event_id, TOPIC, key, "type", "text/plain", payload, "time", headers)


class FakeCursorStore:
    """See CursorStore."""

    def __init__(self, session: Session, owner: str, term: int, reading: Reading) -> None:
        self._session = session
        self._held = (owner, term)
        self._reading = reading

    def load(self) -> Loaded:
        database = self._session.database
        if self._holds and database.lease.blocked is not None:
            database.store_lease(blocked=None)
        cursor = newest(database)
        held = database.desk.held_in(cursor.number)
        if cursor.closed:
            return Loaded(cursor, (), held)
        pages = self._reading.plan(database, cursor.window, cursor.last_position)
        return Loaded(cursor, pages, held)

    def open_next(self, cursor: Cursor) -> Opened | NothingAhead:
        database = self._session.database
        if database.desk.news and not cursor.releases:
            return self._open_release(cursor)
        for ahead in cursor.ahead(database.snapshot()):
            if pages := self._reading.plan(database, ahead.window, 0):
                opened = self._open(ahead.holding(pages))
                held = database.desk.held_in(opened.number) if cursor.releases else None
                return Opened(opened, pages, held)
        return self._open_release(cursor) if database.desk.news else NothingAhead()

    def save(self, cursor: Cursor, *, unblocks: bool, parked: tuple[Parked, ...] = ()) -> Saved:
        self._append(cursor, self._desk_after(cursor, parked))
        if unblocks and self._session.database.lease.blocked is not None:
            self._session.database.store_lease(blocked=None)
        return Saved(cursor)

    def report_blocked(self, event_id: str, reason: str) -> None:
        if self._holds:
            self._session.database.store_lease(blocked=(event_id, reason))

    @property
    def _holds(self) -> bool:
        lease = self._session.database.lease
        return (lease.owner, lease.term) == self._held

    def _open_release(self, cursor: Cursor) -> Opened:
        database = self._session.database
        opened = cursor.opened(cursor.until)
        opened = self._open(opened, database.desk.release(opened.number))
        pages = self._reading.plan(database, opened.window, 0)
        return Opened(opened, pages, database.desk.held_in(opened.number))

    def _desk_after(self, cursor: Cursor, parked: tuple[Parked, ...]) -> Desk:
        database = self._session.database
        positions = {position(one.row) for one in parked}
        begun = [one.hold for one in parked if one.hold is not None]
        if cursor.releases:
            return database.desk.put_back(positions, begun).done(cursor.last_position)
        return database.desk.park(
            (event for event in database.committed if event.position in positions), begun
        )

    def _open(self, opened: Cursor, desk: Desk | None = None) -> Cursor:
        # As the real one's hold the microsecond: a number may be given again, and this is not.
        stamp = self._session.database.next_stamp()
        opened = replace(opened, window_id=f"{opened.number}@{stamp}")
        self._append(opened, desk)
        return opened

    def _append(self, cursor: Cursor, desk: Desk | None = None) -> None:
        database = self._session.database
        if not self._holds:
            raise Fenced(f"term {self._held[1]} is over")
        if any((cursor.number, cursor.step) == (e.number, e.step) for e in database.entries):
            raise Fenced(f"entry {cursor.number}.{cursor.step} was written by another")
        self._store(cursor, desk)

    def _store(self, cursor: Cursor, desk: Desk | None) -> None:
        self._session.database.store_entry(cursor, desk)


class FakePageSource:
    """See PageSource."""

    def __init__(self, session: Session, reading: Reading) -> None:
        self._session = session
        self._reading = reading

    def read(self, window: Window, page: Page) -> Rows:
        return self._reading.page(self._session.database, window, page)


class FakeLeaseStore:
    """See LeaseStore. Connects anew for each request."""

    def __init__(self, database: FakePostgres) -> None:
        self._database = database

    def acquire(self, owner: str, leads: int = 0, *, claims: bool = False) -> int | Held:
        lease, now_s = self._database.lease, self._database.now_s
        if lease.expires_at_s >= now_s and lease.owner != owner:
            if claims and lease.claimable(owner, leads, now_s):
                self._database.store_lease(claim=Claim(owner, leads), claimed_at_s=now_s)
            return Held(lease.leads)
        self._database.store_lease(
            owner=owner,
            term=lease.term + 1,
            expires_at_s=now_s + LEASE_TTL_S,
            leads=leads + 1,
            claim=None,
            blocked=None,
        )
        return self._database.lease.term

    def renew(self, owner: str, term: int, leads: int = 1) -> Renewed | None:
        lease, now_s = self._database.lease, self._database.now_s
        if (lease.owner, lease.term) != (owner, term):
            return None
        self._database.store_lease(expires_at_s=now_s + LEASE_TTL_S, leads=leads)
        return Renewed(lease.claim if now_s <= lease.claimed_at_s + CLAIM_GOOD_S else None)

    def release(self, owner: str) -> None:
        if self._database.lease.owner == owner:
            self._database.store_lease(owner=None, expires_at_s=float("-inf"), leads=0)

    def hand_over(self, owner: str, term: int, claim: Claim) -> bool:
        lease, now_s = self._database.lease, self._database.now_s
        if (lease.owner, lease.term) != (owner, term):
            return False
        kept_until_s = now_s + HEIR_TAKES_WITHIN_S
        self._database.store_lease(
            owner=claim.owner,
            term=term + 1,
            expires_at_s=kept_until_s,
            leads=claim.leads + 1,
            claim=None,
        )
        return True
