"""The book's chapters on transactions, executed as they stand."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Session

from coordinator import Coordinator
from tests.coordinator.database import written
from tests.coordinator.loops import OnALoop
from tests.coordinator.orders import KEY, done, pay, statuses
from tests.docs.readme import examples, run

OWN = "Several domains in one commit"
OUTSIDE = "Effects outside the database: when the transaction needs the answer"


class Cards:
    """Charges cards: an effect outside the database."""

    def __init__(self) -> None:
        self.charged: list[str] = []

    def charge(self, amount: str) -> str:
        self.charged.append(amount)
        return f"charge-{len(self.charged)}"

    def refund(self, charge_id: str) -> None:
        raise AssertionError(f"{charge_id} is refunded without need")


class Stock:
    """Reserves goods: an effect outside the database."""

    def __init__(self) -> None:
        self.reserved: list[str] = []

    def reserve(self, sku: str, reservation: str) -> str:
        self.reserved.append(sku)
        return f"shelf of {sku}"

    def release(self, sku: str, reservation: str) -> None:
        raise AssertionError(f"{reservation} of {sku} is released without need")


def test_the_examples_of_several_domains_run_and_may_be_run_again(orders: Engine) -> None:
    cards = Cards()
    first, second = examples(OWN)
    for replayed in (False, True):
        names = run(OWN, first, engine=orders, cards=cards, text=text, Session=Session)
        assert names["outcome"].value == {"paid": "9.50"}
        assert names["outcome"].replayed is replayed
        names = run(OWN, second, **names)
        assert names["tx"].replayed is replayed
    assert cards.charged == ["9.50"]
    assert statuses(orders) == {7: "shipped"}
    assert done(orders) == {"transaction_claims": 2, "transaction_records": 2, "event": 2}


def test_the_example_of_an_effect_outside_runs_and_may_be_run_again(orders: Engine) -> None:
    with orders.begin() as connection:
        connection.execute(text("create table picks (shelf text)"))
    stock = Stock()
    (source,) = examples(OUTSIDE)
    for _ in range(2):
        run(OUTSIDE, source, engine=orders, stock=stock, text=text, Coordinator=Coordinator)
    assert stock.reserved == ["sku-1"]
    with orders.connect() as connection:
        assert connection.scalars(text("select shelf from picks")).all() == ["shelf of sku-1"]


def test_the_example_of_a_run_completes_it(engine: Engine) -> None:
    (source,) = examples("The completion of a run")
    result = run("The completion of a run", source, engine=engine, Session=Session)["result"]
    assert result.is_complete
    assert written(engine)["event"] == 4


def test_the_example_in_coroutines_runs_and_may_be_run_again(
    orders: Engine, on_a_loop: OnALoop
) -> None:
    (source,) = examples("In coroutines")

    async def call_twice(engine: AsyncEngine) -> None:
        endpoint = run("In coroutines", source, async_engine=engine, text=text)["endpoint"]
        assert not (await endpoint(7)).replayed
        assert (await endpoint(7)).replayed

    on_a_loop(call_twice)
    assert statuses(orders) == {7: "cancelled"}


def test_the_example_of_knowing_that_it_is_out_warns_while_it_is_not(
    orders: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = Coordinator(orders).run(pay, 7, amount="9.50", key=KEY)
    (source,) = examples("Knowing that it is out")
    hurried = source.replace("timeout_s=2.0", "timeout_s=0")
    run("Knowing that it is out", hurried, outcome=outcome, log=logging.getLogger())
    assert caplog.messages == ["stored, and not in Kafka yet"]
