"""Reading a window: where its events lie, and one page of them."""

from __future__ import annotations

import psycopg

from relay import sql
from relay.address import Place
from relay.core.inputs import Rows
from relay.core.manner import Manner
from relay.core.window import CHUNK_BITS, Chunk, Page, Window, pages_of
from relay.postgres.connect import Connection, connect, pinned_transaction, translated_errors

__all__ = ["Asked", "PageReader", "ask_page", "plan", "plan_released", "rows_of", "xid_arrays"]

Asked = psycopg.Cursor[tuple[object, ...]]
"""A statement that is on its way; what it gives can be fetched once its pipeline has ended."""

_SQL = sql.load("window")
_PARKING = sql.load("parking")


def plan(connection: Connection, window: Window, after: int) -> tuple[Page, ...]:
    """The pages in which the events of `window` beyond position `after` lie.

    None when there are none.
    """
    ranges = window.ranges()
    if not ranges:
        return ()
    low, high = xid_arrays(ranges)
    rows = connection.execute(
        _SQL["window_plan"],
        {
            "low": low,
            "high": high,
            "after": max(after, window.above),
            "upto": window.upto,
            "chunk_bits": CHUNK_BITS,
        },
    ).fetchall()
    return pages_of(Chunk(*row) for row in rows)  # type: ignore[arg-type]  # four integers, by the statement


def plan_released(connection: Connection, after: int) -> tuple[Page, ...]:
    """The pages in which the parked events that the open window releases lie, beyond `after`."""
    bound = {"after": after, "chunk_bits": CHUNK_BITS}
    rows = connection.execute(_PARKING["parking_plan"], bound).fetchall()
    return pages_of(Chunk(*row) for row in rows)  # type: ignore[arg-type]  # four integers, by the statement


def xid_arrays(ranges: list[tuple[int, int]]) -> tuple[str, str]:
    """Ranges of transaction ids as two array literals. As text: the driver would bind small ids as
    smallint, which cannot become xid8."""
    lows = ",".join(str(low) for low, _ in ranges)
    highs = ",".join(str(high) for _, high in ranges)
    return f"{{{lows}}}", f"{{{highs}}}"


def ask_page(connection: Connection, window: Window, page: Page) -> Asked:
    """Ask for a page in the transaction that is open; its rows are fetched later, at whatever time.

    They are the same rows whatever the transaction does, as C and S are the window's.
    """
    statement = _PARKING["parking_page"] if window.releases else _SQL["window_page"]
    parameters = {
        "first": page.first_position,
        "last": page.last_position,
        "leaf": (page.first_position >> 20) & 7,
        "since": str(window.since),
        "until": str(window.until),
        "limit": page.limit,
    }
    return connection.execute(statement, parameters, binary=True)


def rows_of(asked: Asked) -> Rows:
    """The events of a page that was asked for."""
    return asked.fetchall()  # type: ignore[return-value]  # Row, by the statement


class PageReader:
    """Pages of stored windows, on a connection of its own, so that one is read while another is
    sent.

    A connection that came back after a crash may be used here: C and S are durable, so the ids
    below them are not given out again, and the same rows are read.
    """

    def __init__(self, place: Place, manner: Manner | None = None) -> None:
        """`manner` names the session after how its relay leads, for `relay status`."""
        name = "pages" if manner is None else f"pages {manner.in_a_session}"
        self._connection = connect(place, name)

    def read(self, window: Window, page: Page) -> Rows:
        """See PageSource.read."""
        with translated_errors():
            with pinned_transaction(self._connection):
                asked = ask_page(self._connection, window, page)
            return rows_of(asked)

    def close(self) -> None:
        """Give the connection back; a page being read on it fails."""
        self._connection.close()
