"""What is published: events of 500 bytes with 100 keys, in the outbox and in the peer's table; and
what the outbox says of it afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from relay.postgres.connect import Connection

__all__ = [
    "KEYS",
    "PAYLOAD_BYTES",
    "TYPE",
    "FirstPage",
    "copy_for_the_peer",
    "first_page",
    "insert",
    "last_position",
    "last_window",
    "load",
    "make_peer_table",
    "page_seconds",
]

PAYLOAD_BYTES: Final = 500
KEYS: Final = 100
TYPE: Final = "bench.event"
_TRANSACTION_EVENTS: Final = 10_000

_INSERT: Final = """
insert into outbox.event (topic, key, type, payload)
select %(topic)s, 'key-' || n %% %(keys)s, %(type)s,
       substr(decode(repeat(md5(n::text), 32), 'hex'), 1, %(bytes)s)
from generate_series(%(first)s::bigint, %(last)s::bigint) n
"""

# The peer has the events, when each was published, and an index on those that were not, which both
# of its statements use. Neither constraints nor other indexes, that an update would have to keep:
# it is given every advantage.
_PEER_TABLE: Final = """
create schema peer;
create table peer.event (like outbox.event including defaults, published_at timestamptz);
create index event_unpublished_idx on peer.event (position) where published_at is null;
"""
_COPY: Final = "insert into peer.event select e.* from outbox.event e where e.position > %(after)s"
# Step 0 opens the window; each later one is stored when a page is acknowledged.
_FIRST_PAGE: Final = """
select saved.last_position, extract(epoch from saved.stored_at - opened.stored_at)::float8
from outbox.window opened join outbox.window saved on saved.number = opened.number
where opened.number = %s and opened.step = 0 and saved.step = 1 and not saved.closed
"""

_PAGES: Final = """
select extract(epoch from stored_at - lag(stored_at) over (order by step))::float8
from outbox.window where number = %s and not closed order by step
"""


def load(
    connection: Connection, topic: str, first: int, last: int, loaded: Callable[[int], None]
) -> None:
    """Write events number `first` to `last` to the outbox, 10,000 a transaction.

    Args:
        loaded: told the number of the last event of each transaction.
    """
    for start in range(first, last + 1, _TRANSACTION_EVENTS):
        end = min(start + _TRANSACTION_EVENTS - 1, last)
        insert(connection, topic, start, end)
        loaded(end)
    _settle(connection, "outbox.event")


def insert(connection: Connection, topic: str, first: int, last: int) -> None:
    """Write events number `first` to `last` in one statement."""
    same = {"topic": topic, "keys": KEYS, "type": TYPE, "bytes": PAYLOAD_BYTES}
    connection.execute(_INSERT, {**same, "first": first, "last": last})


def make_peer_table(connection: Connection) -> None:
    """Make the table of the relay that marks what it has published."""
    connection.execute(_PEER_TABLE)


def copy_for_the_peer(connection: Connection, after: int) -> None:
    """Give the peer the outbox's events beyond position `after`."""
    connection.execute(_COPY, {"after": after})
    _settle(connection, "peer.event")


def last_position(connection: Connection) -> int:
    """The position of the newest event; 0 when there is none."""
    row = connection.execute("select coalesce(max(position), 0) from outbox.event").fetchone()
    return int(str(row and row[0]))


def last_window(connection: Connection) -> int:
    """The number of the newest window."""
    row = connection.execute("select max(number) from outbox.window").fetchone()
    return int(str(row and row[0]))


@dataclass(frozen=True, slots=True)
class FirstPage:
    """The first page of a window: the last position in it, and how long it took to publish."""

    last_position: int
    seconds: float


def first_page(connection: Connection, window: int) -> FirstPage | None:
    """What the log says of the first page of `window`; None when there was no second."""
    row = connection.execute(_FIRST_PAGE, [window]).fetchone()
    return None if row is None else FirstPage(int(str(row[0])), float(str(row[1])))


def page_seconds(connection: Connection, window: int) -> list[float]:
    """How long each page of `window` took to publish, but for the first and the last one."""
    rows = connection.execute(_PAGES, [window]).fetchall()
    return [float(str(row[0])) for row in rows[2:]]


def _settle(connection: Connection, table: str) -> None:
    """Do now what the load left behind, so that whoever reads first does not pay for it.

    Hint bits are WAL where checksums are on, and an autovacuum would take one of few cores.
    """
    connection.execute(f"vacuum (analyze) {table}".encode())
