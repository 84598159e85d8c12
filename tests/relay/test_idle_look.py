"""What a look costs where nothing happens, and that it misses nothing: the cheap one asks for S
alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from relay.core.inputs import NothingAhead, Opened
from relay.postgres.connect import Connection, connect
from relay.postgres.cursor_store import PostgresCursorStore
from relay.postgres.lease_store import PostgresLeaseStore
from tests.relay.events import emit
from tests.relay.leader import OWNER

ASKS_FOR_S = 1


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with closing(connect(database_url, "cursor")) as made:
        yield made


@pytest.fixture
def store(database_url: str, connection: Connection) -> Iterator[PostgresCursorStore]:
    leases = PostgresLeaseStore(lambda: database_url)
    term = leases.acquire(OWNER)
    assert isinstance(term, int)
    yield PostgresCursorStore(connection, OWNER, term)
    leases.close()


@pytest.fixture
def statements(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """All that the store asks from here on."""
    asked: list[object] = []
    execute: Callable[..., Any] = connection.execute

    def counted(statement: object, *arguments: object, **options: object) -> Any:
        asked.append(statement)
        return execute(statement, *arguments, **options)

    monkeypatch.setattr(connection, "execute", counted)
    return asked


def test_behind_a_look_that_found_nothing_the_next_is_one_statement(
    store: PostgresCursorStore, statements: list[object]
) -> None:
    cursor = store.load().cursor
    assert store.open_next(cursor) == NothingAhead()
    statements.clear()

    assert store.open_next(cursor) == NothingAhead()
    assert len(statements) == ASKS_FOR_S


def test_what_is_of_no_outbox_is_looked_at_once(
    database_url: str, store: PostgresCursorStore, statements: list[object]
) -> None:
    cursor = store.load().cursor
    store.open_next(cursor)
    with psycopg.connect(database_url) as other:
        other.execute("create table elsewhere ()")
    statements.clear()

    assert store.open_next(cursor) == NothingAhead()
    assert len(statements) > ASKS_FOR_S
    statements.clear()
    assert store.open_next(cursor) == NothingAhead()
    assert len(statements) == ASKS_FOR_S


def test_who_only_looks_when_something_was_written_asks_no_more_than_once(
    connection: Connection, store: PostgresCursorStore, statements: list[object]
) -> None:
    cursor = store.load().cursor
    listening = PostgresCursorStore(connection, OWNER, 1, polls=False)
    statements.clear()
    listening.open_next(cursor)
    asked = len(statements)
    statements.clear()

    listening.open_next(cursor)
    assert len(statements) == asked


def test_where_something_is_found_nothing_more_is_asked_than_ever(
    database_url: str, store: PostgresCursorStore, statements: list[object]
) -> None:
    emit(database_url, "t", key=None)
    first = store.open_next(store.load().cursor)
    assert isinstance(first, Opened)
    asked = len(statements)
    emit(database_url, "t", key=None)
    statements.clear()

    assert isinstance(store.open_next(first.cursor), Opened)
    assert len(statements) <= asked
