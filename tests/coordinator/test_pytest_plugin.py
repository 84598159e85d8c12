"""The pytest plugin, in runs of pytest of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

MODELS = """
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

class Base(DeclarativeBase):
    pass

class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)

class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)

engine = create_engine("sqlite://")
Base.metadata.create_all(engine)
"""

SERVICE = """
import pytest
from sqlalchemy.orm import Session
from coordinator import Outbox, OutboxEvent, WrongUse
from shop import Note, Order, engine

def create(model, *, announce=True):
    with Session(engine) as session, session.begin():
        session.add(model())
        if announce:
            event = OutboxEvent.json(topic="orders", key="7", type="order.created", data={})
            Outbox().add(session, event)
"""

WATCH_ORDERS = "[pytest]\noutbox_watch = shop:Base\noutbox_watch_tables = orders\n"


def run(pytester: pytest.Pytester, tests: str, ini: str = "[pytest]\n") -> pytest.RunResult:
    pytester.makeini(ini)
    pytester.makepyfile(shop=MODELS, test_shop=SERVICE + tests)
    pytester.syspathinsert()
    return pytester.runpytest("-p", "no:randomly", "-p", "no:cacheprovider")


def test_outbox_has_what_the_service_committed(pytester: pytest.Pytester) -> None:
    passing = """
def test_it(outbox):
    create(Order)
    outbox.assert_published(type="order.created", key="7", count=1)

def test_the_next_begins_with_none(outbox):
    outbox.assert_published(count=0)
"""
    run(pytester, passing).assert_outcomes(passed=2)


def test_a_failure_points_at_the_test_and_shows_what_was_there(pytester: pytest.Pytester) -> None:
    failing = """
def test_it(outbox):
    create(Order)
    outbox.assert_published(type="order.paid")
"""
    result = run(pytester, failing)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *wanted at least one event of type='order.paid'; found 0 among the 1 published:",
            "E *order.created  key='7'  topic=orders",
            "*test_shop.py:*: AssertionError",
        ]
    )


def test_outbox_events_has_what_reached_the_real_outbox(
    pytester: pytest.Pytester, database_url: str
) -> None:
    address = database_url.replace("postgresql://", "postgresql+psycopg://")
    real = f"""
from sqlalchemy import create_engine

@pytest.fixture
def database():
    engine = create_engine({address!r})
    yield engine
    engine.dispose()

@pytest.fixture
def outbox_database(database):
    return database

@pytest.mark.parametrize("time", [1, 2])
def test_it(outbox_events, database, time):
    with Session(database) as session, session.begin():
        Outbox().add(session, OutboxEvent.json(topic="a", key="k", type="t", data={{}}))
    outbox_events.assert_published(type="t", count=1)
"""
    run(pytester, real).assert_outcomes(passed=2)


def test_without_a_database_outbox_events_says_what_to_define(pytester: pytest.Pytester) -> None:
    result = run(pytester, "def test_it(outbox_events): pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*needs a fixture `outbox_database` in your conftest.py*"])


def test_a_leak_fails_the_test_with_its_line(pytester: pytest.Pytester) -> None:
    leaking = "def test_it():\n    create(Order, announce=False)\n"
    result = run(pytester, leaking, WATCH_ORDERS)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *EventMissing: *test_shop.py:8: table 'orders' was changed*"])


def test_a_leak_that_the_service_catches_fails_the_test_all_the_same(
    pytester: pytest.Pytester,
) -> None:
    catching = """
def test_it():
    try:
        create(Order, announce=False)
    except WrongUse:
        pass
"""
    run(pytester, catching, WATCH_ORDERS).assert_outcomes(failed=1)


def test_what_a_fixture_prepares_needs_no_event(pytester: pytest.Pytester) -> None:
    preparing = """
@pytest.fixture
def order():
    create(Order, announce=False)

def test_it(order):
    create(Note, announce=False)

def test_an_event_in_memory_counts(outbox):
    create(Order)
"""
    run(pytester, preparing, WATCH_ORDERS).assert_outcomes(passed=2)


def test_without_the_ini_nothing_is_watched(pytester: pytest.Pytester) -> None:
    run(pytester, "def test_it():\n    create(Order, announce=False)\n").assert_outcomes(passed=1)


def test_unused_it_imports_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
import sys

def test_it():
    assert "coordinator.testing.plugin" in sys.modules
    assert not {"sqlalchemy", "psycopg", "confluent_kafka", "coordinator.errors"} & set(sys.modules)
""")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(pytester.path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
