"""Published events that are still kept, in the order of their publication.

Each page is a transaction of its own. A long one would keep its locks on the leaves it has read, so
that none of them could be emptied until it is over; as it is, a leaf may be emptied between two
pages, and its events are then missing. Nothing is waited for by the relay, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain, pairwise

from relay import sql
from relay.core.inputs import Row
from relay.core.replay import Selection
from relay.core.retention import EVENT_RING, published
from relay.core.snapshot import Snapshot
from relay.core.span import ORIGIN, Cut, Placed, Span, chosen, spans
from relay.core.window import Page
from relay.postgres.cluster import refuse_unentered_copy
from relay.postgres.connect import Connection, pinned_transaction, translated_errors
from relay.postgres.cursor_store import read_cursor
from relay.postgres.window_reader import plan, xid_arrays

__all__ = ["Retained", "Stretch"]

_SQL = sql.load("retained")

LOG_AT_ONCE = 1_000

READ_WHOLE_PAGES_MAX = 2
"""A span of several windows is read whole, and sorted: at most 16,384 events of 4 kB each."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was published from `since_s` to `until_s`, beyond window `after`, up to C.

    Times are seconds since 1970 by the database's clock.
    """

    since_s: float
    until_s: float
    after: int = ORIGIN.number


class Retained:
    """What the ring still holds of what was published when this was made.

    published    C of that moment
    now_s        that moment, in seconds since 1970 by the database's clock
    seen         how many events were read so far
    unpublished  how many of them are parked or discarded, and so were not handed out
    """

    def __init__(self, connection: Connection) -> None:
        """Raises Unreachable or SchemaMismatch, as every method here; UnsafeDatabase for a restored
        database that no relay has led on yet."""
        self._connection = connection
        refuse_unentered_copy(connection)
        with translated_errors(), pinned_transaction(connection):
            cursor = read_cursor(connection)
            self.published = published(cursor)
            row = connection.execute(_SQL["retained_now"]).fetchone()
        self.now_s = float(str(row and row[0]))
        numbering = cursor.numbering
        self._numbering = numbering.index + len(numbering.later)
        self._above = numbering.later[-1] if numbering.later else numbering.above
        # After C: what was parked then, and has been let out since, counts as published.
        with translated_errors():
            rows = connection.execute(_SQL["retained_withheld"]).fetchall()
        self._withheld = frozenset(int(str(row[0])) for row in rows)
        self.seen = self.unpublished = 0

    def bounds(self, stretch: Stretch) -> Span | None:
        """All of the stretch as one span; None if no window is within."""
        first: Cut | None = None
        last: Cut | None = None
        for before, cut in self._chosen(stretch):
            first, last = first or before, cut
        return None if first is None or last is None else Span((first, last))

    def count(self, span: Span, selection: Selection) -> dict[str, int]:
        """How many events of each topic are chosen, those that are withheld included."""
        low, high = xid_arrays(span.window.ranges())
        bound = {"low": low, "high": high, "above": self._above, **asdict(selection)}
        with translated_errors(), pinned_transaction(self._connection):
            rows = self._connection.execute(_SQL["retained_count"], bound).fetchall()
        return {str(topic): int(str(events)) for topic, events in rows}

    def read(self, stretch: Stretch, selection: Selection) -> Iterator[list[Placed]]:
        """The chosen events that are published, by window and position, some at a time."""
        for span in spans(self._chosen(stretch)):
            yield from self._read(span, selection)

    def follow(self, after: int, selection: Selection) -> Iterator[list[Placed]]:
        """As `read`, what was published behind window `after`, which the log still holds.

        Nothing before that window is looked at: it can be asked every second.
        """
        for span in spans(pairwise(self._log(after))):
            yield from self._read(span, selection)

    def is_kept(self, position: int) -> bool:
        """Whether the leaf still holds the block of positions that `position` lies in."""
        first = position >> EVENT_RING.bits << EVENT_RING.bits
        last = first + (1 << EVENT_RING.bits) - 1
        bound = {"first": first, "last": last, "leaf": EVENT_RING.slot_of(position)}
        with translated_errors(), pinned_transaction(self._connection):
            row = self._connection.execute(_SQL["retained_block"], bound).fetchone()
        return bool(row and row[0])

    def _chosen(self, stretch: Stretch) -> Iterator[tuple[Cut, Cut]]:
        for before, cut in chosen(self._chain(), stretch.since_s, stretch.until_s):
            if cut.number > stretch.after:
                yield before, cut

    def _chain(self) -> Iterator[Cut]:
        """From before everything up to C: milestones, then the log of windows."""
        log = self._log()
        first = next(log, None)
        if first is None:
            return
        with translated_errors():
            old = self._connection.execute(_SQL["retained_milestones"], {"before": first.number})
            milestones = [_cut(row) for row in old.fetchall()]
        yield from chain([ORIGIN], milestones, [first], log)

    def _log(self, number: int = 0) -> Iterator[Cut]:
        while number <= self.published.number:
            asked = {"number": number, "numbering": self._numbering, "limit": LOG_AT_ONCE}
            with translated_errors(), pinned_transaction(self._connection):
                rows = self._connection.execute(_SQL["retained_log"], asked).fetchall()
            for row in rows:
                if (cut := _cut(row)).number <= self.published.number:
                    yield cut
                number = cut.number + 1
            if len(rows) < LOG_AT_ONCE:
                return

    def _read(self, span: Span, selection: Selection) -> Iterator[list[Placed]]:
        with translated_errors(), pinned_transaction(self._connection):
            pages = plan(self._connection, span.window, after=self._above)
        if span.is_one_window:
            for page in pages:
                yield from self._in_parts(span, page, selection)
        elif len(pages) > READ_WHOLE_PAGES_MAX or any(page.may_be_cut for page in pages):
            for half in span.halves():
                yield from self._read(half, selection)
        else:
            yield sorted(
                (one for page in pages for one in self._page(span, page, selection)[0]),
                key=lambda one: one.place,
            )

    def _in_parts(self, span: Span, page: Page, selection: Selection) -> Iterator[list[Placed]]:
        rest: Page | None = page
        while rest is not None:
            placed, read, last = self._page(span, rest, selection)
            yield placed
            rest = rest.rest_after(last, read)

    def _page(self, span: Span, page: Page, selection: Selection) -> tuple[list[Placed], int, int]:
        """What is chosen of a page, how many rows that was, and the position of the last."""
        bound = {
            "first": page.first_position,
            "last": page.last_position,
            "leaf": EVENT_RING.slot_of(page.first_position),
            "since": str(span.window.since),
            "until": str(span.window.until),
            "limit": page.limit,
            "above": self._above,
            **asdict(selection),
        }
        with translated_errors(), pinned_transaction(self._connection):
            cursor = self._connection.execute(_SQL["retained_page"], bound, binary=True)
            rows = cursor.fetchall()
        self.seen += len(rows)
        placed = []
        for *event, txid in rows:
            row: Row = tuple(event)  # type: ignore[assignment]  # Row, by the statement
            if row[0] in self._withheld:
                self.unpublished += 1
                continue
            cut = span.cut_of(int(str(txid)))
            placed.append(Placed(cut.number, cut.epoch, row))
        return placed, len(rows), int(str(rows[-1][0])) if rows else page.last_position


def _cut(row: tuple[object, ...]) -> Cut:
    number, snapshot, at_s, epoch = row
    parsed = Snapshot.parse(str(snapshot))
    return Cut(int(str(number)), parsed, float(str(at_s)), str(epoch))
