"""outbox.debezium: a row of Debezium's outbox table, written there, is an event."""

from __future__ import annotations

from uuid import UUID, uuid4

import psycopg
import pytest

from tests.relay.events import connected, value_of

WRITE = """insert into outbox.debezium (id, aggregatetype, aggregateid, type, payload)
    values (%s, %s, 'order/7', 'OrderCreated', %s) returning id"""


def write(url: str, event_id: UUID, topic: str = "outbox.event.order") -> psycopg.Cursor[object]:
    with connected(url) as connection:
        return connection.execute(WRITE, (event_id, topic, b"{}"))


def test_a_row_is_an_event_of_the_topic_and_key_that_it_names(database_url: str) -> None:
    event_id = uuid4()
    write(database_url, event_id)
    with connected(database_url) as connection:
        row = connection.execute(
            "select id, topic, key, type, content_type, payload, headers, position,"
            " txid is not null from outbox.event"
        ).fetchone()
    assert row == (
        *(event_id, "outbox.event.order", "order/7", "OrderCreated"),
        *("application/json", b"{}", {}, 1, True),
    )


def test_row_count_and_returning_are_those_of_a_table(database_url: str) -> None:
    event_id = uuid4()
    cursor = write(database_url, event_id)
    assert (cursor.rowcount, cursor.fetchone()) == (1, (event_id,))


def test_a_row_that_is_no_event_is_refused(database_url: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="outbox event refused: topic"):
        write(database_url, uuid4(), topic="no topic")
    assert value_of(database_url, "select count(*) from outbox.event") == 0
