"""What a look costs where nothing happens: one statement once two looks have seen the same, and
never more where others commit all the time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from relay.core.cursor import Cursor
from relay.core.inputs import NothingAhead, Opened
from relay.postgres.connect import Connection, connect
from relay.postgres.cursor_store import PostgresCursorStore
from relay.postgres.lease_store import PostgresLeaseStore
from tests.relay.events import emit
from tests.relay.leader import OWNER

ASKS_FOR_S = 1

Asked = list[object]


@pytest.fixture
def store(database_url: str) -> Iterator[PostgresCursorStore]:
    leases = PostgresLeaseStore(lambda: database_url)
    term = leases.acquire(OWNER)
    assert isinstance(term, int)
    with closing(connect(database_url, "cursor")) as connection:
        yield PostgresCursorStore(connection, OWNER, term)
    leases.close()


@pytest.fixture
def quiet(store: PostgresCursorStore) -> Cursor:
    """Of a server on which nothing was committed between two looks."""
    cursor = store.load().cursor
    assert [store.open_next(cursor) for _ in range(2)] == [NothingAhead()] * 2
    return cursor


@pytest.fixture
def asked(store: PostgresCursorStore, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """All that the store asks from here on."""
    return counted(store._connection, monkeypatch)


def counted(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Asked:
    statements: Asked = []
    execute: Callable[..., Any] = connection.execute

    def counting(statement: object, *arguments: object, **options: object) -> Any:
        statements.append(statement)
        return execute(statement, *arguments, **options)

    monkeypatch.setattr(connection, "execute", counting)
    return statements


def commit_elsewhere(database_url: str) -> None:
    with psycopg.connect(database_url) as other:
        other.execute("select pg_current_xact_id()")


def test_where_nothing_was_committed_a_look_is_one_statement(
    store: PostgresCursorStore, quiet: Cursor, asked: Asked
) -> None:
    assert store.open_next(quiet) == NothingAhead()
    assert len(asked) == ASKS_FOR_S


def test_where_others_commit_all_the_time_none_is_one_statement_more(
    database_url: str, store: PostgresCursorStore, asked: Asked
) -> None:
    cursor, of_each = store.load().cursor, set[int]()
    for _ in range(5):
        commit_elsewhere(database_url)
        asked.clear()
        assert store.open_next(cursor) == NothingAhead()
        of_each.add(len(asked))
    assert len(of_each) == 1


def test_an_event_on_a_quiet_server_is_found_by_the_next_look(
    database_url: str, store: PostgresCursorStore, quiet: Cursor
) -> None:
    emit(database_url, "t", key=None)
    assert isinstance(store.open_next(quiet), Opened)


def test_what_another_backend_says_is_not_believed_though_its_s_is_the_same(
    database_url: str,
    store: PostgresCursorStore,
    quiet: Cursor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pooler goes on with another server, or with this one after a crash: there S may repeat."""
    with closing(connect(database_url, "cursor")) as other:
        monkeypatch.setattr(store, "_connection", other)
        asked = counted(other, monkeypatch)
        assert store.open_next(quiet) == NothingAhead()
    assert len(asked) > ASKS_FOR_S
