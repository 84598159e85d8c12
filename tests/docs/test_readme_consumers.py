"""The README's chapters on consumers, executed as they stand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Engine, func, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from coordinator import Outbox, OutboxEvent, once
from coordinator.outbox.table import outbox_event
from coordinator.testing import relay_records
from tests.coordinator.database import engine_on
from tests.docs.readme import examples, run

ACT = "Effects outside the database: let a consumer act"


class Base(DeclarativeBase):
    """The models of a service."""


class Invoice(Base):
    """An invoice; the README leaves out of which order."""

    __tablename__ = "invoices"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int]


class Cards:
    """Another company's server: a charge for each idempotency key."""

    def __init__(self) -> None:
        self.charged: dict[str, str] = {}

    def charge(self, amount: str, idempotency_key: str) -> str:
        self.charged[idempotency_key] = amount
        return f"charge-{len(self.charged)}"


def test_a_record_delivered_twice_makes_one_invoice(database_url: str) -> None:
    headers = [("ce_id", str(uuid4()).encode())]
    with engine_on(database_url) as engine:
        Base.metadata.create_all(engine)
        names = {"UUID": UUID, "Session": Session, "engine": engine}
        names["Invoice"] = lambda order_id: Invoice(order_id=42 if order_id is ... else order_id)
        for _ in range(2):
            message = SimpleNamespace(headers=lambda: headers)
            run("Consumers", examples("Consumers")[0], message=message, **names)
        with Session(engine) as session:
            assert session.scalar(select(func.count()).select_from(Invoice)) == 1


def test_marks_make_one_invoice_of_a_record_delivered_twice(database_url: str) -> None:
    heading = "Marks: one row for a partition"
    event = OutboxEvent.json(topic="orders", key="42", type="order.paid", data={})
    topic, partition, offset, key, value, headers, _ = relay_records([event])[0]
    message = SimpleNamespace(
        topic=lambda: topic,
        partition=lambda: partition,
        offset=lambda: offset,
        key=lambda: key,
        value=lambda: value,
        headers=lambda: headers,
        timestamp=lambda: (1, 0),
    )
    with engine_on(database_url) as engine:
        Base.metadata.create_all(engine)
        names = {"Session": Session, "engine": engine, "Invoice": Invoice}
        for _ in range(2):
            run(heading, examples(heading)[0], messages=[message], **names)
        with Session(engine) as session:
            assert session.scalar(select(func.count()).select_from(Invoice)) == 1


def test_the_handler_of_the_example_survives_its_check(database_url: str) -> None:
    heading = "Test a consumer's handler"
    names = run(heading, examples(heading)[0], text=text, OutboxEvent=OutboxEvent)
    with engine_on(database_url) as engine:
        with engine.begin() as connection:
            connection.execute(text("create table accounts (name text, cents int)"))
            connection.execute(text("insert into accounts values ('ann', 0), ('bob', 0)"))
        names["test_billing_survives_what_may_happen"](engine)
        with engine.connect() as connection:
            rows = connection.execute(text("select cents from accounts order by name")).scalars()
            assert list(rows) == [16, 20]


def test_a_card_is_charged_once_for_an_event_that_comes_twice(database_url: str) -> None:
    with engine_on(database_url) as engine:
        cards = Cards()
        act, (event_id, data) = acting(engine, cards)
        act(event_id, data)
        act(event_id, data)
        assert list(cards.charged.values()) == ["9.50"]
        with engine.connect() as connection:
            rows = connection.execute(text("select status, charge from orders")).all()
        assert [tuple(row) for row in rows] == [("paid", "charge-1")]


def acting(engine: Engine, cards: Cards) -> tuple[Any, tuple[UUID, dict[str, Any]]]:
    """The README's consumer, and the event that its writer wrote."""
    with engine.begin() as connection:
        connection.execute(text("create table orders (id int, status text, charge text)"))
        connection.execute(text("insert into orders values (7, 'open')"))
    names: dict[str, Any] = {
        "Outbox": Outbox,
        "OutboxEvent": OutboxEvent,
        "once": once,
        "text": text,
    }
    (source,) = examples(ACT)
    names = run(ACT, source, engine=engine, Session=Session, cards=cards, **names)
    with engine.connect() as connection:
        event_id = connection.execute(select(outbox_event.c.id)).scalar_one()
    assert names["wanted"].id == event_id
    return names["on_payment_wanted"], (event_id, {"order": 7, "amount": "9.50"})
