"""The README's chapter on testing a service runs as it stands there, in a service's own pytest."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine

from tests.coordinator.flavours import with_driver
from tests.coordinator.orders import make_orders
from tests.docs.readme import examples

CHAPTER = "Testing your service"

MODELS = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

class Base(DeclarativeBase):
    pass

class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str]
"""

CONFTEST = """
import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from coordinator import Coordinator

@pytest.fixture
def engine():
    engine = create_engine({address!r})
    yield engine
    engine.dispose()

@pytest.fixture
def coordinator(engine):
    return Coordinator(engine)
"""

SERVICE = """
from functools import partial
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session
from coordinator import Outbox, OutboxEvent
from shop.models import Order

PAID = OutboxEvent.json(topic="orders", key="7", type="order.paid", data={"id": 7})

def pay(tx, order_id, amount):
    tx.operation("order", lambda session: session.get(Order, order_id) and None)
    tx.emit(PAID)

@pytest.fixture
def pay_order(engine):
    def paying(order_id):
        with Session(engine) as session, session.begin():
            session.get(Order, order_id).status = "paid"
            Outbox().add(session, PAID)
    return paying
"""

# The README's test calls a function of the service, which here has to find the test's database.
GIVEN_THE_SERVICE = ("(outbox)", "(outbox, pay_order)")

COMMITTED = """
def test_real_events(outbox_events, pay_order):
    pay_order(7)
    outbox_events.assert_published(type="order.paid", count=1)
"""

ROLLED_BACK = """
@pytest.mark.parametrize("time", [1, 2])
def test_in_an_outer_transaction(outbox_events, session, time):
    assert session.get(Order, 7).status == "open"
    session.get(Order, 7).status = "paid"
    Outbox().add(session, PAID)
    session.commit()
    outbox_events.assert_published(type="order.paid", count=1)
"""

LEAKING = """
def test_leaking(engine):
    with Session(engine) as session, session.begin():
        session.get(Order, 7).status = "paid"
"""


@pytest.fixture
def service(pytester: pytest.Pytester, database_url: str) -> pytest.Pytester:
    """A service with its models, its conftest.py, and order 7 open."""
    address = with_driver(database_url, "psycopg")
    engine = create_engine(address)
    make_orders(engine)
    engine.dispose()
    pytester.mkpydir("shop").joinpath("models.py").write_text(MODELS)
    pytester.makeconftest(CONFTEST.format(address=address))
    pytester.makepyprojecttoml(examples("The leak detector", "toml")[0])
    pytester.syspathinsert()
    return pytester


def run(service: pytest.Pytester, *parts: str) -> pytest.RunResult:
    service.makepyfile(test_shop="\n".join([SERVICE, *parts]))
    # Of their own: what is imported in one must not be there in the next.
    return service.runpytest_subprocess("-p", "no:randomly")


def test_the_outbox_in_memory_the_real_one_and_a_crash(service: pytest.Pytester) -> None:
    in_memory, real, _outer, crash = examples(CHAPTER)
    result = run(service, in_memory.replace(*GIVEN_THE_SERVICE), real, COMMITTED, crash)
    result.assert_outcomes(passed=3)


def test_an_outer_transaction(service: pytest.Pytester) -> None:
    _in_memory, _real, outer, _crash = examples(CHAPTER)
    run(service, outer, ROLLED_BACK).assert_outcomes(passed=2)


def test_the_ini_makes_a_leak_fail(service: pytest.Pytester) -> None:
    run(service, LEAKING).assert_outcomes(failed=1)
