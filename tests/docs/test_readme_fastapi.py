"""The README's FastAPI service, asked as its clients ask it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from coordinator.outbox.table import outbox_event
from tests.coordinator.database import engine_on
from tests.coordinator.flavours import with_driver
from tests.docs.readme import examples, run

CHAPTER = "In a FastAPI service"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A database in which order 7 is open."""
    with engine_on(database_url) as made:
        with made.begin() as connection:
            connection.execute(text("create table orders (id int, status text, amount text)"))
            connection.execute(text("insert into orders values (7, 'open')"))
        yield made


@pytest.fixture
def client(engine: Engine, database_url: str) -> Iterator[TestClient]:
    """The README's app, behind a client."""
    async_engine = create_async_engine(with_driver(database_url, "psycopg"))
    names: dict[str, Any] = {"AsyncSession": AsyncSession, "async_engine": async_engine}
    (source,) = examples(CHAPTER)
    names = run(CHAPTER, source, engine=engine, text=text, **names)
    with TestClient(names["app"]) as made:
        yield made
        assert made.portal is not None
        made.portal.call(async_engine.dispose)


def pay(client: TestClient, amount: str, key: str | None = "k-1") -> tuple[int, Any]:
    """Post a payment of order 7; gives the status code and the answer."""
    headers = {} if key is None else {"Idempotency-Key": key}
    response = client.post("/orders/7/payments", params={"amount": amount}, headers=headers)
    return response.status_code, response.json()


def types(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        in_order = select(outbox_event.c.type).order_by(outbox_event.c.position)
        return list(connection.scalars(in_order))


def test_a_request_that_is_sent_again_gets_the_first_answer(
    client: TestClient, engine: Engine
) -> None:
    assert pay(client, "9.50") == pay(client, "9.50") == (200, {"paid": "9.50"})
    assert types(engine) == ["order.paid"]


def test_another_key_is_another_payment(client: TestClient, engine: Engine) -> None:
    pay(client, "9.50")
    pay(client, "9.50", key="k-2")
    assert types(engine) == ["order.paid", "order.paid"]


def test_the_key_with_another_amount_is_a_conflict_that_names_the_field(
    client: TestClient, engine: Engine
) -> None:
    pay(client, "9.50")
    status, answer = pay(client, "1.00")
    assert status == 422
    assert answer["detail"].startswith("amount: ")
    assert types(engine) == ["order.paid"]


@pytest.mark.parametrize("key", [None, "", "k" * 256])
def test_a_missing_or_impossible_key_is_the_clients_fault(
    client: TestClient, engine: Engine, key: str | None
) -> None:
    status, _ = pay(client, "9.50", key=key)
    assert status == 422
    assert types(engine) == []


def test_an_asynchronous_request_that_is_sent_again_gets_the_first_answer(
    client: TestClient, engine: Engine
) -> None:
    for _ in range(2):
        sent = client.post("/orders/7/shipment", headers={"Idempotency-Key": "k-1"})
        assert sent.json() == {"shipped": 7}
    with engine.connect() as connection:
        assert connection.scalar(text("select status from orders")) == "shipped"
    assert types(engine) == ["order.shipped"]


def test_an_asynchronous_endpoint_writes_an_event_for_each_request(
    client: TestClient, engine: Engine
) -> None:
    for _ in range(2):
        assert client.post("/orders/7/reminder").json() == {"reminded": 7}
    assert types(engine) == ["order.reminded", "order.reminded"]
