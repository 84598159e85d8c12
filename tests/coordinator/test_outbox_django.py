"""Events in Django's own transactions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction

from coordinator import NoTransaction, Outbox, OutboxEvent, WrongUse
from tests.coordinator.django_project import Order, django_on

CONNECTIONS = {
    "plain": {},
    "pooled": {"OPTIONS": {"pool": True}},
    "binding on the server": {"OPTIONS": {"server_side_binding": True}},
    "kept between requests": {"CONN_MAX_AGE": None},
}


def emit(key: str = "1") -> None:
    Outbox().add(connection, OutboxEvent.json(topic="orders", key=key, type="order.paid", data={}))


def keys(url: str) -> list[str]:
    with psycopg.connect(url) as other:
        rows = other.execute("select key from outbox.event order by position")
        return [key for (key,) in rows]


@pytest.mark.parametrize("options", CONNECTIONS.values(), ids=CONNECTIONS.keys())
def test_an_event_is_committed_with_the_row(database_url: str, options: dict[str, Any]) -> None:
    with django_on(database_url, **options):
        with transaction.atomic():
            emit()
            Order.objects.create(status="paid")
            assert keys(database_url) == []
        assert keys(database_url) == ["1"]
        assert Order.objects.count() == 1


@pytest.mark.parametrize("options", CONNECTIONS.values(), ids=CONNECTIONS.keys())
def test_outside_atomic_it_is_refused(database_url: str, options: dict[str, Any]) -> None:
    with django_on(database_url, **options):
        with pytest.raises(NoTransaction, match="autocommit"):
            emit()
        Order.objects.create(status="paid")
        with pytest.raises(NoTransaction, match="autocommit"):
            emit()
    assert keys(database_url) == []


def test_after_atomic_it_is_refused_again(database_url: str) -> None:
    with django_on(database_url):
        with transaction.atomic():
            emit()
        with pytest.raises(NoTransaction, match="autocommit"):
            emit("2")


def emit_and_fail() -> None:
    with transaction.atomic():
        Order.objects.create(status="paid")
        emit("lost")
        raise ZeroDivisionError


def test_an_error_takes_the_event_with_the_row(database_url: str) -> None:
    with django_on(database_url):
        with pytest.raises(ZeroDivisionError):
            emit_and_fail()
        assert Order.objects.count() == 0
    assert keys(database_url) == []


def test_what_a_nested_atomic_takes_back_is_not_published(database_url: str) -> None:
    with django_on(database_url), transaction.atomic():
        emit("before")
        with pytest.raises(ZeroDivisionError):
            emit_and_fail()
        emit("after")
    assert keys(database_url) == ["before", "after"]


def test_a_transaction_that_is_marked_for_rollback_publishes_nothing(database_url: str) -> None:
    with django_on(database_url), transaction.atomic():
        emit()
        transaction.set_rollback(True)
    assert keys(database_url) == []


def test_without_djangos_autocommit_the_event_waits_for_the_commit(database_url: str) -> None:
    with django_on(database_url):
        transaction.set_autocommit(False)
        emit()
        assert keys(database_url) == []
        transaction.commit()
    assert keys(database_url) == ["1"]


def emit_after(spoil: Callable[[], object]) -> None:
    with transaction.atomic():
        connection.ensure_connection()
        spoil()
        emit("lost")


def test_what_the_database_refuses_is_djangos_error(database_url: str) -> None:
    with django_on(database_url) as django, pytest.raises(DatabaseError, match="read-only"):
        emit_after(lambda: django.cursor().execute("set transaction read only"))


def test_a_connection_that_was_lost_in_a_transaction_takes_no_event(database_url: str) -> None:
    with django_on(database_url) as django:
        with pytest.raises(DatabaseError):
            emit_after(lambda: django.connection.close())  # noqa: PLW0108 - opened later
        assert keys(database_url) == []


def test_payloads_are_not_in_djangos_log_of_queries(database_url: str) -> None:
    with django_on(database_url):
        connection.force_debug_cursor = True
        with transaction.atomic():
            emit()
        connection.force_debug_cursor = False
        assert not [query for query in connection.queries if "outbox" in query["sql"]]


def test_another_driver_than_psycopg_3_is_refused_by_name() -> None:
    class Psycopg2Wrapper:
        in_atomic_block = True
        connection = object()

        def ensure_connection(self) -> None:
            """Nothing to open."""

    event = OutboxEvent.json(topic="orders", key="1", type="order.paid", data={})
    with pytest.raises(WrongUse, match="psycopg 3"):
        Outbox().add(Psycopg2Wrapper(), event)  # type: ignore[call-overload]  # on purpose
