"""The kinds of connection that an outbox writes on, each driven the same way by one test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from coordinator import Outbox, OutboxEvent
from tests.coordinator.database import engine_on

Calls = Sequence[Iterable[OutboxEvent]]


@dataclass(frozen=True)
class Flavour:
    """One kind of connection.

    `write(url, calls, commit)` makes one `add_all` for each of `calls` in one transaction, and
    commits or rolls back. `write_in_autocommit(url, events)` calls it outside any transaction.
    `write_around_savepoints(url)` commits `before`, `kept` and `after`; `kept` is written in a
    savepoint, and `lost` in one that is rolled back.
    """

    write: Callable[[str, Calls, bool], None]
    write_in_autocommit: Callable[[str, Iterable[OutboxEvent]], None]
    write_around_savepoints: Callable[[str], None]


def numbered(count: int, first: int = 0) -> list[OutboxEvent]:
    """Events of the types t0, t1, ..."""
    return [typed(f"t{number}") for number in range(first, first + count)]


def typed(type_: str) -> OutboxEvent:
    """An event of this type."""
    return OutboxEvent(topic="a", key="k", type=type_, payload=b"\x00\xff")


def stored_in(url: str) -> list[Any]:
    """The rows of the outbox, in order."""
    columns = "id, topic, key, type, content_type, payload, headers"
    with psycopg.connect(url, row_factory=namedtuple_row) as connection:
        return connection.execute(
            f"select {columns} from outbox.event order by position".encode()
        ).fetchall()


def with_driver(url: str, driver: str) -> str:
    """The address for SQLAlchemy's `driver`."""
    return url.replace("postgresql://", f"postgresql+{driver}://", 1)


def _session(url: str, calls: Calls, commit: bool) -> None:
    with engine_on(url) as engine, Session(engine) as session:
        for events in calls:
            Outbox().add_all(session, events)
        session.commit() if commit else session.rollback()


def _session_autocommit(url: str, events: Iterable[OutboxEvent]) -> None:
    with engine_on(url, isolation_level="AUTOCOMMIT") as engine, Session(engine) as session:
        Outbox().add_all(session, events)


def _connection(url: str, calls: Calls, commit: bool) -> None:
    with engine_on(url) as engine, engine.connect() as connection:
        for events in calls:
            Outbox().add_all(connection, events)
        connection.commit() if commit else connection.rollback()


def _connection_autocommit(url: str, events: Iterable[OutboxEvent]) -> None:
    with engine_on(url, isolation_level="AUTOCOMMIT") as engine, engine.connect() as connection:
        Outbox().add_all(connection, events)


def _around_savepoints(target: Session | Connection) -> None:
    Outbox().add(target, typed("before"))
    lost = target.begin_nested()
    Outbox().add(target, typed("lost"))
    lost.rollback()
    kept = target.begin_nested()
    Outbox().add(target, typed("kept"))
    kept.commit()
    Outbox().add(target, typed("after"))
    target.commit()


def _session_savepoints(url: str) -> None:
    with engine_on(url) as engine, Session(engine) as session:
        _around_savepoints(session)


def _connection_savepoints(url: str) -> None:
    with engine_on(url) as engine, engine.connect() as connection:
        _around_savepoints(connection)


def _psycopg(url: str, calls: Calls, commit: bool) -> None:
    with psycopg.connect(url) as connection:
        for events in calls:
            Outbox().add_all(connection, events)
        connection.commit() if commit else connection.rollback()


def _psycopg_autocommit(url: str, events: Iterable[OutboxEvent]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        Outbox().add_all(connection, events)


def _psycopg_savepoints(url: str) -> None:
    with psycopg.connect(url) as connection:
        Outbox().add(connection, typed("before"))
        with connection.transaction(force_rollback=True):
            Outbox().add(connection, typed("lost"))
        with connection.transaction():
            Outbox().add(connection, typed("kept"))
        Outbox().add(connection, typed("after"))


def _async_psycopg(url: str, calls: Calls, commit: bool) -> None:
    async def write() -> None:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            for events in calls:
                await Outbox().add_all(connection, events)
            await (connection.commit() if commit else connection.rollback())

    asyncio.run(write())


def _async_psycopg_autocommit(url: str, events: Iterable[OutboxEvent]) -> None:
    async def write() -> None:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await Outbox().add_all(connection, events)

    asyncio.run(write())


def _async_psycopg_savepoints(url: str) -> None:
    async def write() -> None:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await Outbox().add(connection, typed("before"))
            async with connection.transaction(force_rollback=True):
                await Outbox().add(connection, typed("lost"))
            async with connection.transaction():
                await Outbox().add(connection, typed("kept"))
            await Outbox().add(connection, typed("after"))

    asyncio.run(write())


def _of_sqlalchemy_async(driver: str, kind: type[AsyncSession | AsyncConnection]) -> Flavour:
    async def run(url: str, use: Callable[[Any], Awaitable[None]], **options: Any) -> None:
        engine = create_async_engine(with_driver(url, driver), **options)
        try:
            async with AsyncSession(engine) if kind is AsyncSession else engine.connect() as target:
                await use(target)
        finally:
            await engine.dispose()

    def write(url: str, calls: Calls, commit: bool, **options: Any) -> None:
        async def add(target: AsyncSession | AsyncConnection) -> None:
            for events in calls:
                await Outbox().add_all(target, events)
            await (target.commit() if commit else target.rollback())

        asyncio.run(run(url, add, **options))

    def write_in_autocommit(url: str, events: Iterable[OutboxEvent]) -> None:
        write(url, [events], True, isolation_level="AUTOCOMMIT")

    def write_around_savepoints(url: str) -> None:
        async def add(target: AsyncSession | AsyncConnection) -> None:
            await Outbox().add(target, typed("before"))
            lost = await target.begin_nested()
            await Outbox().add(target, typed("lost"))
            await lost.rollback()
            async with target.begin_nested():
                await Outbox().add(target, typed("kept"))
            await Outbox().add(target, typed("after"))
            await target.commit()

        asyncio.run(run(url, add))

    return Flavour(write, write_in_autocommit, write_around_savepoints)


FLAVOURS = {
    "Session": Flavour(_session, _session_autocommit, _session_savepoints),
    "Connection": Flavour(_connection, _connection_autocommit, _connection_savepoints),
    "AsyncSession": _of_sqlalchemy_async("psycopg", AsyncSession),
    "AsyncConnection": _of_sqlalchemy_async("psycopg", AsyncConnection),
    "AsyncSession on asyncpg": _of_sqlalchemy_async("asyncpg", AsyncSession),
    "AsyncConnection on asyncpg": _of_sqlalchemy_async("asyncpg", AsyncConnection),
    "psycopg": Flavour(_psycopg, _psycopg_autocommit, _psycopg_savepoints),
    "async psycopg": Flavour(_async_psycopg, _async_psycopg_autocommit, _async_psycopg_savepoints),
}
