"""The log of windows is emptied behind its newest entries, and the cursor is what it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest

from relay.core.cursor import Cursor
from relay.core.retention import LOG_RING, Emptied
from relay.postgres.connect import Connection, connect
from relay.postgres.cursor_store import PostgresCursorStore
from relay.postgres.rotation import PostgresRotation
from tests.relay.events import connected, emit
from tests.relay.leader import OWNER, closed, leading

LEAF = 1 << LOG_RING.bits


@dataclass(frozen=True)
class Log:
    """As the leader of term 1 sees it."""

    url: str
    store: PostgresCursorStore
    rotation: PostgresRotation

    def comes_to(self, number: int) -> Cursor:
        """Windows are opened up to `number`; nothing reads what is between."""
        with connected(self.url) as connection:
            connection.execute(
                "insert into outbox.window (number, step, snapshot, closed, term)"
                " select %s, 0, snapshot, true, 1 from outbox.window where number = 0",
                (number - 1,),
            )
        emit(self.url, "t")
        return closed(self.store)

    def leaves_in_use(self) -> list[int]:
        survey = self.rotation.survey(0.0)
        return [leaf for leaf, size in enumerate(survey.log_bytes) if size]


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with closing(connect(database_url, "test")) as connection:
        yield connection


@pytest.fixture
def log(database_url: str, connection: Connection) -> Iterator[Log]:
    with leading(database_url) as store:
        yield Log(database_url, store, PostgresRotation(connection, OWNER, 1))


def test_a_leaf_whose_windows_are_all_older_than_the_time_to_keep_is_emptied(log: Log) -> None:
    newest = log.comes_to(2 * LEAF + 1)
    assert log.rotation.empty_log(0, 3_600.0) is Emptied.NEEDED
    with connected(log.url) as connection:
        connection.execute("update outbox.window set stored_at = now() - interval '2 h'")
    assert log.rotation.empty_log(0, 3_600.0) is Emptied.EMPTIED

    assert log.leaves_in_use() == [2]
    assert log.store.load().cursor == newest


def test_the_leaf_with_the_window_before_the_newest_stays_as_its_snapshot_is_c(log: Log) -> None:
    newest = log.comes_to(2 * LEAF)
    assert log.rotation.empty_log(1, 0.0) is Emptied.NEEDED

    assert log.store.load().cursor == newest


def test_the_leader_goes_on_from_a_log_that_was_emptied(log: Log) -> None:
    log.comes_to(2 * LEAF + 1)
    log.rotation.empty_log(0, 0.0)
    emit(log.url, "t")

    assert closed(log.store).number == 2 * LEAF + 2
