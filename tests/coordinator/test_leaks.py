"""The leak detector: a watched change without an event fails before its commit, with its line."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import (
    Connection,
    Engine,
    MetaData,
    delete,
    event,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from coordinator import BadInput, Coordinator, Outbox, OutboxEvent, TransactionFailed
from coordinator.testing import EventMissing, InMemoryOutbox, Watch, unwatched, watch
from tests.coordinator.flavours import typed, with_driver
from tests.coordinator.orders import KEY, statuses


class Base(DeclarativeBase):
    """The stranger's models."""


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True, default=8)
    status: Mapped[str] = mapped_column(default="open")


class LedgerLine(Base):
    __tablename__ = "ledger"
    amount: Mapped[str] = mapped_column(primary_key=True)


EVENT = OutboxEvent.json(topic="orders", key="7", type="order.paid", data={})


@pytest.fixture
def watched(orders: Engine) -> Iterator[Watch]:
    """The table `orders` is watched, the table `ledger` is not."""
    with watch(Base, tables=["orders"]) as watching:
        yield watching


def line_of(marker: str) -> str:
    """Where the comment `# <marker>` stands in this file."""
    lines, _ = inspect.findsource(line_of)
    (number,) = (n for n, line in enumerate(lines, 1) if line.rstrip().endswith(f"# {marker}"))
    return f"{__file__}:{number}"


def by_attribute(session: Session) -> None:
    order = session.get_one(Order, 7)
    order.status = "paid"  # by attribute
    session.flush()


def by_constructor(session: Session) -> None:
    order = Order(id=8, status="paid")  # by constructor
    session.add(order)


def by_add_alone(session: Session) -> None:
    session.add(Order())  # by add alone


def by_delete(session: Session) -> None:
    session.delete(session.get_one(Order, 7))
    session.flush()  # by delete


def by_core(session: Session) -> None:
    session.execute(update(Order).values(status="paid"))  # by core


def by_core_delete(session: Session) -> None:
    session.execute(delete(Order))  # by core delete


def by_bulk(session: Session) -> None:
    session.execute(insert(Order), [{"id": n, "status": "paid"} for n in (8, 9)])  # by bulk


def by_bulk_save(session: Session) -> None:
    session.bulk_insert_mappings(Order, [{"id": 8, "status": "paid"}])  # by bulk save


def by_text(session: Session) -> None:
    session.execute(text("update orders set status = 'paid'"))  # by text


def by_driver_sql(session: Session) -> None:
    session.connection().exec_driver_sql("delete from orders")  # by driver sql


DOORS = {
    "by attribute": by_attribute,
    "by constructor": by_constructor,
    "by add alone": by_add_alone,
    "by delete": by_delete,
    "by core": by_core,
    "by core delete": by_core_delete,
    "by bulk": by_bulk,
    "by bulk save": by_bulk_save,
    "by text": by_text,
    "by driver sql": by_driver_sql,
}


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("door", DOORS)
def test_a_change_without_an_event_fails_with_its_line(orders: Engine, door: str) -> None:
    with pytest.raises(EventMissing) as raised, Session(orders) as session, session.begin():
        DOORS[door](session)
    assert str(raised.value).startswith(f"{line_of(door)}: table 'orders' was changed")


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("door", DOORS)
def test_nothing_of_it_is_committed_and_the_connection_is_clean(orders: Engine, door: str) -> None:
    with pytest.raises(EventMissing), Session(orders) as session, session.begin():
        DOORS[door](session)
    with orders.begin() as connection:
        connection.execute(text("select 1"))
    assert statuses(orders) == {7: "open"}


@pytest.mark.usefixtures("watched")
def test_the_next_commit_of_a_connection_takes_nothing_of_it_along(orders: Engine) -> None:
    with orders.connect() as connection:
        by_connection(connection)
        with pytest.raises(EventMissing):
            connection.commit()
        connection.rollback()
        connection.execute(text("select 1"))
        connection.commit()
    assert statuses(orders) == {7: "open"}


def by_add(session: Session) -> None:
    Outbox().add(session, EVENT)


def by_emit_in_text(session: Session) -> None:
    session.execute(text("select outbox.emit('orders', '7', 'order.paid', 'x')"))


def by_emit_function(session: Session) -> None:
    session.execute(select(func.outbox.emit("orders", "7", "order.paid", b"x")))


def by_memory(session: Session) -> None:
    InMemoryOutbox().add(session, EVENT)


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("write", [by_add, by_emit_in_text, by_emit_function, by_memory])
@pytest.mark.parametrize("first", [True, False], ids=["event first", "change first"])
def test_a_change_with_an_event_passes(
    orders: Engine, write: Callable[[Session], None], first: bool
) -> None:
    with Session(orders) as session, session.begin():
        for step in (write, by_text) if first else (by_text, write):
            step(session)
    assert statuses(orders) == {7: "paid"}


@pytest.mark.usefixtures("watched")
def test_an_event_of_a_coordinator_counts(orders: Engine) -> None:
    def pay(tx: Any) -> None:
        tx.operation("order", by_text)
        tx.emit(EVENT)

    Coordinator(orders).run(pay, key=KEY)
    assert statuses(orders) == {7: "paid"}


def test_a_coordinator_that_emits_nothing_fails_with_the_line(
    orders: Engine, watched: Watch
) -> None:
    with pytest.raises(TransactionFailed) as raised:
        Coordinator(orders).run(lambda tx: tx.operation("order", by_text) and None, key=KEY)
    assert isinstance(raised.value.cause, EventMissing)
    assert raised.value.cause.place == line_of("by text")
    assert watched.found == [raised.value.cause]


@pytest.mark.usefixtures("watched")
def test_a_connection_is_watched_as_a_session_is(orders: Engine) -> None:
    with pytest.raises(EventMissing), orders.begin() as connection:
        connection.execute(text("update orders set status = 'paid'"))
    assert statuses(orders) == {7: "open"}


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_an_async_session_is_watched_with_the_line_that_awaits(
    orders: Engine, database_url: str, driver: str
) -> None:
    async def pay(with_event: bool) -> None:
        engine = create_async_engine(with_driver(database_url, driver))
        try:
            async with AsyncSession(engine) as session, session.begin():
                if with_event:
                    await Outbox().add(session, EVENT)
                await session.execute(text("update orders set status = 'paid'"))  # async
        finally:
            await engine.dispose()

    with pytest.raises(EventMissing) as raised:
        asyncio.run(pay(with_event=False))
    assert raised.value.place == line_of("async")
    assert statuses(orders) == {7: "open"}
    asyncio.run(pay(with_event=True))
    assert statuses(orders) == {7: "paid"}


@pytest.mark.usefixtures("watched")
def test_a_change_that_a_savepoint_takes_back_needs_no_event(orders: Engine) -> None:
    with Session(orders) as session, session.begin():
        savepoint = session.begin_nested()
        by_text(session)
        savepoint.rollback()


@pytest.mark.usefixtures("watched")
def test_an_event_that_a_savepoint_takes_back_does_not_count(orders: Engine) -> None:
    with Session(orders) as session:
        savepoint = session.begin_nested()
        Outbox().add(session, EVENT)
        savepoint.rollback()
        by_text(session)
        with pytest.raises(EventMissing):
            session.commit()


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize(
    "statement",
    [
        "update orders set status = 'paid' where id = 99",
        "delete from orders where id = 99",
        "insert into orders values (7, 'x') on conflict do nothing",
        "insert into ledger values ('9.50')",
        "select * from orders for update",
    ],
)
def test_what_changes_no_row_that_is_watched_needs_no_event(orders: Engine, statement: str) -> None:
    with Session(orders) as session, session.begin():
        session.execute(text(statement))


@pytest.mark.usefixtures("watched")
def test_a_rollback_needs_no_event_nor_does_the_next_transaction(orders: Engine) -> None:
    with Session(orders) as session:
        by_text(session)
        session.rollback()
        session.execute(text("select 1"))
        session.commit()


@pytest.mark.usefixtures("watched")
def test_so_it_is_on_a_connection_that_is_kept(orders: Engine) -> None:
    with orders.connect() as connection:
        by_connection(connection)
        connection.rollback()
        connection.execute(text("select 1"))
        connection.commit()


@pytest.mark.usefixtures("watched")
def test_an_event_serves_its_own_transaction_only(orders: Engine) -> None:
    with Session(orders) as session:
        Outbox().add(session, EVENT)
        session.commit()
        by_text(session)
        with pytest.raises(EventMissing):
            session.commit()


@pytest.mark.usefixtures("watched")
def test_an_event_that_a_hook_of_the_session_adds_counts(orders: Engine) -> None:
    with Session(orders) as session, session.begin():
        event.listen(session, "before_commit", by_add)
        by_text(session)


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("mode", ["create_savepoint", "rollback_only"])
def test_a_session_in_an_outer_transaction_of_the_test_is_watched(
    orders: Engine, mode: Any
) -> None:
    with orders.connect() as connection, connection.begin() as outer:
        connection.execute(text("insert into orders values (9, 'prepared by the test')"))
        with Session(connection, join_transaction_mode=mode) as session:
            by_attribute(session)
            Outbox().add(session, EVENT)
            session.commit()
            session.get_one(Order, 7).status = "sent"  # in an outer transaction
            with pytest.raises(EventMissing) as raised:
                session.commit()
        outer.rollback()
    assert raised.value.place == line_of("in an outer transaction")


@pytest.mark.usefixtures("watched")
def test_what_the_test_wrote_in_its_outer_transaction_before_is_not_the_sessions(
    orders: Engine,
) -> None:
    with orders.connect() as connection, connection.begin() as outer:
        by_connection(connection)
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            session.execute(text("select 1"))
            session.commit()
        outer.rollback()


@pytest.mark.usefixtures("watched")
def test_preparations_of_a_test_may_leave_the_event_out(orders: Engine) -> None:
    with unwatched(), Session(orders) as session, session.begin():
        by_text(session)
    assert statuses(orders) == {7: "paid"}


def test_after_the_end_nothing_is_watched(orders: Engine) -> None:
    watching = watch(Base)
    watching.stop()
    watching.stop()
    with Session(orders) as session, session.begin():
        by_attribute(session)
    assert watching.found == []


def test_without_names_all_tables_of_the_base_are_watched(orders: Engine) -> None:
    with watch(Base), pytest.raises(EventMissing, match="'ledger'"), orders.begin() as connection:
        connection.execute(text("insert into ledger values ('9.50')"))


def test_a_metadata_will_do(orders: Engine) -> None:
    with (
        watch(Base.metadata, tables=["orders"]),
        pytest.raises(EventMissing, match="'orders'"),
        Session(orders) as session,
        session.begin(),
    ):
        by_attribute(session)


def test_a_table_that_there_is_not_is_refused() -> None:
    with pytest.raises(BadInput, match=r"tables: ordres: not in the metadata"):
        watch(Base, tables=["ordres"])


def test_what_has_no_tables_is_refused() -> None:
    with pytest.raises(BadInput, match="base: must be a declarative base or a MetaData"):
        watch(object())


def test_two_may_watch_at_once(orders: Engine) -> None:
    with watch(Base, tables=["ledger"]), watch(MetaData()), Session(orders) as session:
        by_text(session)
        session.commit()
        Outbox().add(session, typed("t"))
        session.execute(text("insert into ledger values ('9.50')"))
        session.commit()


def by_connection(connection: Connection) -> None:
    connection.execute(text("update orders set status = 'paid'"))


@pytest.mark.usefixtures("watched")
def test_a_connection_that_was_open_before_is_watched_too(orders: Engine) -> None:
    with orders.connect() as connection:
        connection.rollback()
        by_connection(connection)
        with pytest.raises(EventMissing):
            connection.commit()
