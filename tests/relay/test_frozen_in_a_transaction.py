"""A relay that is frozen inside a transaction keeps no other from leading."""

from __future__ import annotations

from contextlib import closing, suppress

import psycopg
import pytest

from relay.core.inputs import Opened
from relay.errors import Unreachable
from relay.postgres.connect import connect, pinned_transaction
from relay.postgres.cursor_store import PostgresCursorStore
from relay.postgres.lease_store import PostgresLeaseStore
from tests.relay.events import emit
from tests.relay.leader import OWNER, leading
from tests.support.history import end_lease


def test_an_entry_that_a_frozen_relay_has_not_committed_is_not_waited_for_long(
    database_url: str,
) -> None:
    emit(database_url, "t")
    with leading(database_url) as store:
        cursor = store.load().cursor
    connection = connect(database_url, "cursor")
    with (
        closing(connection),
        leading(database_url),
        suppress(psycopg.OperationalError),
        pinned_transaction(connection),
    ):
        PostgresCursorStore(connection, OWNER, 2)._append(cursor.opened(cursor.until))
        end_lease(database_url)
        another_opens_its_window(database_url)

    assert connection.closed


def another_opens_its_window(database_url: str) -> None:
    with closing(PostgresLeaseStore(lambda: database_url)) as leases:
        term = leases.acquire("another/2/abcdef")
    assert isinstance(term, int)
    with closing(connect(database_url, "cursor")) as other:
        store = PostgresCursorStore(other, "another/2/abcdef", term)
        with pytest.raises(Unreachable, match="lock timeout"):
            store.open_next(store.load().cursor)
        assert isinstance(store.open_next(store.load().cursor), Opened)
