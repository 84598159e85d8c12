"""The kinds of connection that an outbox writes on, each driven the same way by one test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
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
    """

    write: Callable[[str, Calls, bool], None]
    write_in_autocommit: Callable[[str, Iterable[OutboxEvent]], None]


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


def _psycopg(url: str, calls: Calls, commit: bool) -> None:
    with psycopg.connect(url) as connection:
        for events in calls:
            Outbox().add_all(connection, events)
        connection.commit() if commit else connection.rollback()


def _psycopg_autocommit(url: str, events: Iterable[OutboxEvent]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        Outbox().add_all(connection, events)


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


def _of_sqlalchemy_async(driver: str, kind: type[AsyncSession | AsyncConnection]) -> Flavour:
    async def run(url: str, calls: Calls, commit: bool, **options: Any) -> None:
        engine = create_async_engine(with_driver(url, driver), **options)
        try:
            opened = AsyncSession(engine) if kind is AsyncSession else engine.connect()
            async with opened as target:
                for events in calls:
                    await Outbox().add_all(target, events)
                await (target.commit() if commit else target.rollback())
        finally:
            await engine.dispose()

    def write(url: str, calls: Calls, commit: bool) -> None:
        asyncio.run(run(url, calls, commit))

    def write_in_autocommit(url: str, events: Iterable[OutboxEvent]) -> None:
        asyncio.run(run(url, [events], True, isolation_level="AUTOCOMMIT"))

    return Flavour(write, write_in_autocommit)


FLAVOURS = {
    "Session": Flavour(_session, _session_autocommit),
    "Connection": Flavour(_connection, _connection_autocommit),
    "AsyncSession": _of_sqlalchemy_async("psycopg", AsyncSession),
    "AsyncConnection": _of_sqlalchemy_async("psycopg", AsyncConnection),
    "AsyncSession on asyncpg": _of_sqlalchemy_async("asyncpg", AsyncSession),
    "AsyncConnection on asyncpg": _of_sqlalchemy_async("asyncpg", AsyncConnection),
    "psycopg": Flavour(_psycopg, _psycopg_autocommit),
    "async psycopg": Flavour(_async_psycopg, _async_psycopg_autocommit),
}
