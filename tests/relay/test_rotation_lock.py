"""The lock under which a leaf is emptied: had at once or not at all, and never kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg.sql import Identifier

from relay.core.retention import Emptied
from relay.errors import Unreachable, UnsafeDatabase
from relay.postgres.connect import connect
from relay.postgres.rotation import PostgresRotation
from tests.relay.events import connected, emit, value_of
from tests.relay.leader import OWNER, closed, leading
from tests.support.roles import users_with_roles


@pytest.fixture
def rotation(database_url: str) -> Iterator[PostgresRotation]:
    """Of a leader, when one event of leaf 0 is published."""
    emit(database_url, "t")
    with leading(database_url) as store, closing(connect(database_url, "test")) as connection:
        closed(store)
        yield PostgresRotation(connection, OWNER, 1)


def test_a_reader_keeps_a_leaf_and_no_writer_waits_meanwhile(
    rotation: PostgresRotation, database_url: str
) -> None:
    with psycopg.connect(database_url) as report:
        report.execute("select count(*) from outbox.event")
        assert rotation.empty_events(0, None) is Emptied.IN_USE
        with connected(database_url) as writer:
            writer.execute("set lock_timeout = '1ms'")
            writer.execute("select outbox.emit('t', 'k', 'happened', '')")


def test_what_is_committed_at_the_last_moment_before_the_lock_is_seen(
    rotation: PostgresRotation, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = rotation._connection.execute

    def execute_later(statement: Any, *values: Any) -> Any:
        if "lock table" in str(statement):
            emit(database_url, "t")
        return execute(statement, *values)

    monkeypatch.setattr(rotation._connection, "execute", execute_later)
    assert rotation.empty_events(0, None) is Emptied.NEEDED
    assert value_of(database_url, "select count(*) from outbox.event") == 2


def test_a_relay_that_is_paused_under_the_lock_loses_it(
    rotation: PostgresRotation, database_url: str
) -> None:
    def paused_under_the_lock() -> None:
        with rotation._locked(Identifier("event_0")):
            assert value_of(database_url, "select count(*) from outbox.event") == 1
            rotation._connection.execute("select 1")

    with pytest.raises(Unreachable):
        paused_under_the_lock()


def test_nothing_is_changed_for_the_session(rotation: PostgresRotation) -> None:
    ask = "select current_setting('lock_timeout'), current_setting('synchronous_commit')"
    before = rotation._connection.execute(ask).fetchone()
    rotation.empty_events(0, None)
    assert rotation._connection.execute(ask).fetchone() == before


def test_a_role_that_may_not_empty_a_leaf_is_told_where_the_grants_are(
    rotation: PostgresRotation, database_url: str
) -> None:
    with (
        users_with_roles(database_url) as urls,
        closing(connect(urls["outbox_monitor"], "test")) as connection,
        pytest.raises(UnsafeDatabase, match="under Roles"),
    ):
        PostgresRotation(connection, OWNER, 1).empty_events(0, None)


def test_the_role_of_the_relay_makes_a_whole_pass(
    rotation: PostgresRotation, database_url: str
) -> None:
    with (
        users_with_roles(database_url) as urls,
        closing(connect(urls["outbox_relay"], "test")) as connection,
    ):
        as_relay = PostgresRotation(connection, OWNER, 1)
        as_relay.mark(0.0)
        assert as_relay.survey(0.0).old is not None
        assert as_relay.empty_events(0, None) is Emptied.EMPTIED
        assert as_relay.empty_log(2, 0.0) is Emptied.EMPTIED
        assert as_relay.blockers(10.0).named == ()
