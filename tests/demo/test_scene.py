"""Where the demo plays: it uses what is given, and never an outbox that others use."""

from __future__ import annotations

from contextlib import closing
from typing import Protocol

import psycopg
import pytest

from relay.demo.scene import set_scene
from relay.errors import UnsafeDatabase
from relay.postgres.lease_store import PostgresLeaseStore
from tests.support.kafka import Broker


class Give(Protocol):
    def __call__(self, database_url: str) -> None: ...


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch, mock_broker: Broker) -> Give:
    """Names the database and the mock broker in the environment, as a user does."""
    monkeypatch.setenv("RELAY_KAFKA_BOOTSTRAP_SERVERS", mock_broker.bootstrap_servers)
    return lambda database_url: monkeypatch.setenv("RELAY_DATABASE_URL", database_url)


def enter() -> str:
    with set_scene("mock", lambda _: None) as scene:
        return scene.topic


def test_a_given_empty_database_is_migrated_and_used(give: Give, empty_database_url: str) -> None:
    give(empty_database_url)
    with set_scene("mock", lambda _: None) as scene:
        assert scene.database_url == empty_database_url
        assert "RELAY_DATABASE_URL" in scene.postgres


def test_the_demos_own_tables_are_gone_afterwards(give: Give, database_url: str) -> None:
    give(database_url)
    enter()
    with psycopg.connect(database_url) as connection:
        left = connection.execute("select to_regnamespace('outbox_demo')").fetchone()
    assert left == (None,)


def test_each_demo_has_a_topic_of_its_own(give: Give, database_url: str) -> None:
    give(database_url)
    assert enter() != enter()


def test_a_database_with_events_of_others_is_refused(give: Give, database_url: str) -> None:
    give(database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute("select outbox.emit('orders', 'k', 'order.placed', 'x')")
    with pytest.raises(UnsafeDatabase, match="in use"):
        enter()


def test_a_database_that_a_relay_leads_on_is_refused(give: Give, database_url: str) -> None:
    give(database_url)
    with closing(PostgresLeaseStore(lambda: database_url)) as leases:
        leases.acquire("someone/1/abc")
        with pytest.raises(UnsafeDatabase, match="a relay leads"):
            enter()


def test_the_refusal_does_not_show_the_databases_password(give: Give, database_url: str) -> None:
    give(database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute("select outbox.emit('orders', 'k', 'order.placed', 'x')")
        password = connection.info.password
    with pytest.raises(UnsafeDatabase) as refused:
        enter()
    assert password
    assert password not in str(refused.value)
