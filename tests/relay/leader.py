"""A leader without a process: the log of windows, written step by step by a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from relay.core.cursor import Cursor
from relay.core.inputs import Opened
from relay.postgres.connect import connect
from relay.postgres.cursor_store import PostgresCursorStore
from relay.postgres.lease_store import PostgresLeaseStore

OWNER = "host/1/abcdef"


@contextmanager
def leading(database_url: str, owner: str = OWNER) -> Iterator[PostgresCursorStore]:
    """The log of windows under a lease that `owner` has just been granted."""
    leases = PostgresLeaseStore(lambda: database_url)
    try:
        term = leases.acquire(owner)
        assert isinstance(term, int), "another holds the lease"
        with closing(connect(database_url, "cursor")) as connection:
            yield PostgresCursorStore(connection, owner, term)
    finally:
        leases.close()


def opened(store: PostgresCursorStore) -> Opened:
    """The window of all that is pending behind the newest entry."""
    found = store.open_next(store.load().cursor)
    assert isinstance(found, Opened), "nothing is pending"
    return found


def closed(store: PostgresCursorStore) -> Cursor:
    """The entry that says that all of now is published."""
    return store.save(opened(store).cursor.finished(), unblocks=False).cursor
