"""The README's examples of writing events run as they stand there."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from coordinator import Outbox, OutboxEvent, migrating
from relay.admin import migrate
from tests.coordinator import schemas
from tests.coordinator.database import engine_on
from tests.coordinator.flavours import with_driver
from tests.docs.readme import examples, run
from tests.migrations.project import Project

ANY_CONNECTION = "On any connection"
SQL = "In SQL, from any language"
OUTBOX: dict[str, Any] = {"Outbox": Outbox, "OutboxEvent": OutboxEvent}


class Base(DeclarativeBase):
    """The models of a service."""


class Order(Base):
    """An order."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str]


def execute(url: str, script: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(script.encode())


def stored(url: str, columns: str, table: str = "outbox.event order by position") -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute(f"select {columns} from {table}".encode()).fetchall()


def test_under_the_lock_of_a_row(database_url: str) -> None:
    with engine_on(database_url) as engine:
        Base.metadata.create_all(engine)
        with Session(engine) as session, session.begin():
            session.add(Order(id=7, status="open"))
        locked = examples(ANY_CONNECTION)[0]
        run(
            ANY_CONNECTION,
            locked,
            Session=Session,
            engine=engine,
            Order=Order,
            order_id=7,
            **OUTBOX,
        )
        with Session(engine) as session:
            assert session.scalars(select(Order.status)).all() == ["paid"]
    assert stored(database_url, "key, type") == [("7", "order.paid")]


def test_on_any_connection(database_url: str) -> None:
    async def both() -> None:
        engine = create_async_engine(with_driver(database_url, "psycopg"))
        names = OUTBOX | {"AsyncSession": AsyncSession, "async_engine": engine}
        source = examples(ANY_CONNECTION)[1]
        names = run(ANY_CONNECTION, source, psycopg=psycopg, url=database_url, **names)
        await names["refund"]("40")
        await engine.dispose()

    asyncio.run(both())
    assert stored(database_url, "key, type") == [
        ("41", "order.shipped"),
        ("42", "order.shipped"),
        ("40", "order.refunded"),
    ]


def test_in_any_format() -> None:
    (source,) = examples("In any format")
    names = run("In any format", source, OutboxEvent=OutboxEvent, json=json)
    assert names["invoice"].payload == b'{"total": 12.5}'


def test_with_a_schema_registry() -> None:
    client = schemas.registry()
    (source,) = examples("With a Schema Registry")
    needed = {"AvroSerializer": AvroSerializer, "registry": client, "schema": schemas.AVRO}
    names = run("With a Schema Registry", source, **needed, **OUTBOX)
    read = AvroDeserializer(client)(names["sent"].payload, None)
    assert read == {"total": 12.5, "note": None, "lines": 0}


def test_in_sql(database_url: str) -> None:
    execute(database_url, "create table orders as select 42 as id, 'open' as status")
    execute(database_url, examples(SQL, "sql")[0])
    assert stored(database_url, "status", "orders") == [("paid",)]
    assert stored(database_url, "key, payload") == [
        ("42", b'{"id": 42}'),
        ("41", b'{"id": 41}'),
        ("42", b'{"id": 42}'),
    ]


def test_by_a_trigger_for_each_row_that_changed(database_url: str) -> None:
    execute(
        database_url, "create table orders as select generate_series(1, 3) as id, 'open' as status"
    )
    execute(database_url, examples(SQL, "sql")[1])
    execute(database_url, "update orders set status = 'paid' where id < 3")
    execute(database_url, "update orders set status = 'paid'")
    assert stored(database_url, "key, type, payload") == [
        (key, "order.paid", f'{{"id" : {key}, "status" : "paid"}}'.encode()) for key in "123"
    ]


def test_a_consumer_in_sql_acts_once(database_url: str) -> None:
    execute(database_url, "create table invoices (order_id int)")
    for _ in range(2):
        execute(database_url, examples("Consumers", "sql")[0])
    assert stored(database_url, "order_id", "invoices") == [(42,)]


def test_with_your_own_migrations(tmp_path: Path, empty_database_url: str) -> None:
    body = examples("With your own migrations")[0]
    header = 'revision = "0001"\ndown_revision = None\n'
    project = Project(tmp_path, empty_database_url)
    (tmp_path / "versions" / "0001.py").write_text(header + body)
    project.upgrade()
    assert migrate.current(empty_database_url) == migrating.revisions()[-1]
    project.downgrade("base")
    assert migrate.current(empty_database_url) is None
