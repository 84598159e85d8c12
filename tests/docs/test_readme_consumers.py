"""The README's chapters on consumers, executed as they stand."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

from confluent_kafka import Producer
from sqlalchemy import Engine, func, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from coordinator import Outbox, OutboxEvent, once
from coordinator.inbox.handling import each
from coordinator.inbox.release import handle_released
from coordinator.outbox.table import outbox_event
from coordinator.testing import relay_records
from tests.coordinator.database import engine_on
from tests.coordinator.records import (
    effects,
    handling,
    make_effects,
    record,
    refusing,
    write_down,
)
from tests.docs.readme import examples, run
from tests.support.kafka import Broker
from tests.support.wait import until

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


def test_a_consumer_that_forgot_takes_an_event_again(database_url: str) -> None:
    event_id = uuid4()
    with engine_on(database_url) as engine:
        for forgets in (False, True):
            with Session(engine) as session, session.begin():
                assert once(session, event_id, consumer="billing")
            if not forgets:
                run("Replays", examples("Replays")[0], Session=Session, engine=engine)


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


def test_the_consumer_loop_bills_an_order_and_ends_with_the_signal(
    database_url: str, mock_broker: Broker
) -> None:
    heading = "The consumer loop"
    mock_broker.create_topic("orders")
    producer = Producer({"bootstrap.servers": mock_broker.bootstrap_servers, "log_level": 0})
    producer.produce("orders", b'{"id": 42}', "42", headers=[("ce_id", str(uuid4()))])
    assert producer.flush(30) == 0
    (source,) = examples(heading)
    source = source.replace("broker:9092", mock_broker.bootstrap_servers)
    before = signal.getsignal(signal.SIGTERM)
    with engine_on(database_url) as engine, ThreadPoolExecutor(1) as pool:
        Base.metadata.create_all(engine)

        def billed() -> list[int]:
            with Session(engine) as session:
                return list(session.scalars(select(Invoice.order_id)))

        def signal_when_billed() -> None:
            try:
                until(billed, what="the invoice")
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

        try:
            signalling = pool.submit(signal_when_billed)
            run(heading, source, engine=engine, json=json, Invoice=Invoice)
            signalling.result()
        finally:
            signal.signal(signal.SIGTERM, before)
        assert billed() == [42]


def test_parked_records_are_shown_released_and_discarded(database_url: str) -> None:
    heading = "Parked records"
    with engine_on(database_url) as engine:
        make_effects(engine)
        handling(engine, refusing("0", "1")).finish([record(0, "41"), record(1, "42")])
        (shown,) = examples(heading, "sql")
        with engine.connect() as connection:
            first, second = connection.execute(text(shown)).all()
        assert [(row.topic, row.key, row.reason) for row in (first, second)] == [
            ("orders", "41", "ValueError: not today"),
            ("orders", "42", "ValueError: not today"),
        ]
        (source,) = examples(heading)
        names = {"engine": engine, "Session": Session}
        run(heading, source, parked_id=first.id, other_id=second.id, **names)
        assert handle_released(engine, "billing", each(write_down)) == 1
        assert effects(engine) == ["0"]


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
