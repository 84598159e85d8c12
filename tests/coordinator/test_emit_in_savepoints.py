"""What is emitted in a savepoint shares its fate."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from coordinator import Coordinator, OutboxEvent, Transaction
from coordinator.outbox.table import outbox_event
from tests.coordinator.orders import KEY


class Base(DeclarativeBase):
    """Of one table."""


class Item(Base):
    __tablename__ = "items"
    sku: Mapped[str] = mapped_column(primary_key=True)


def emit(tx: Transaction, type_: str) -> None:
    tx.emit(OutboxEvent(topic="t", key="k", type=type_, payload=b""))


def types(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(select(outbox_event.c.type).order_by("position")))


def half(tx: Transaction) -> None:
    emit(tx, "before")
    with suppress(ValueError), tx.session.begin_nested():
        emit(tx, "lost")
        with tx.session.begin_nested():
            emit(tx, "lost.inside")
        raise ValueError
    with tx.session.begin_nested():
        emit(tx, "kept")
    emit(tx, "after")


def test_a_rolled_back_savepoint_takes_its_events_along(orders: Engine) -> None:
    outcome = Coordinator(orders).run(half, key=KEY)
    assert types(orders) == ["before", "kept", "after"]
    assert len(outcome.event_ids) == 3


def test_the_same_in_a_transaction_that_is_joined(orders: Engine) -> None:
    with (
        Session(orders) as session,
        session.begin(),
        Coordinator(orders).join(session, key=KEY) as tx,
    ):
        half(tx)
    assert types(orders) == ["before", "kept", "after"]


def test_a_savepoint_of_the_caller_around_the_block_takes_all(orders: Engine) -> None:
    with Session(orders) as session:
        savepoint = session.begin_nested()
        with Coordinator(orders).join(session, key=KEY) as tx:
            emit(tx, "lost")
        savepoint.rollback()
        session.commit()
    assert types(orders) == []


def test_a_savepoint_that_a_failed_flush_rolled_back_takes_its_events_along(orders: Engine) -> None:
    def insert_or_skip(tx: Transaction) -> None:
        for sku in ("a", "b", "a"):
            with suppress(IntegrityError), tx.session.begin_nested():
                tx.session.add(Item(sku=sku))
                emit(tx, f"added.{sku}")
                tx.session.flush()

    Base.metadata.create_all(orders)
    Coordinator(orders).run(insert_or_skip, key=KEY)
    assert types(orders) == ["added.a", "added.b"]
