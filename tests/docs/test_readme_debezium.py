"""The README's handovers between Debezium and the relay, and from a table of one's own.

Which rows a connector would get is read from its slot: an INSERT is a message that begins with I.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from relay.admin import migrate, roles
from tests.cli.command import relay, status
from tests.cli.test_adopt import make
from tests.docs.readme import examples
from tests.relay.events import Connection, connected, emit
from tests.support.consume import read_topic
from tests.support.kafka import Broker
from tests.support.postgres import CrashablePostgres

TO_US = "From Debezium to the relay"
TO_DEBEZIUM = "From the relay to Debezium"
TABLE = "Take over a published_at table"

OUTBOXEVENT = """create table public.outboxevent (
    id uuid primary key, aggregatetype varchar(255) not null, aggregateid varchar(255) not null,
    type varchar(255) not null, payload jsonb)"""
WRITE = """insert into public.outboxevent (id, aggregatetype, aggregateid, type, payload)
    values (gen_random_uuid(), 'order', '7', 'OrderCreated', %s) returning id::text"""
PEEK = """select data from pg_logical_slot_peek_binary_changes('debezium', null, null,
    'proto_version', '1', 'publication_names', %s)"""


@pytest.fixture
def url(own_postgres: Callable[..., CrashablePostgres]) -> str:
    found = own_postgres(wal_level="logical").url()
    migrate.upgrade(found)
    roles.grant_roles(found)
    return found


def rows_for_a_connector(connection: Connection, publication: str) -> list[bytes]:
    messages = [bytes(row[0]) for row in connection.execute(PEEK, (publication,))]
    return [message for message in messages if message.startswith(b"I")]


def execute(connection: Connection, script: str) -> None:
    connection.execute(script.encode())


def drained(url: str, broker: Broker) -> None:
    outcome = relay(
        *("run", "--until-drained"),
        database_url=url,
        bootstrap_servers=broker.bootstrap_servers,
        RELAY_ENVELOPE="debezium",
    )
    assert outcome.exit_code == 0, outcome.said


@pytest.mark.parametrize("tables", ["all tables", "table public.outboxevent"])
def test_each_row_is_the_connectors_or_an_event_and_never_both(
    url: str, mock_broker: Broker, tables: str
) -> None:
    (script,) = examples(TO_US, "sql")
    with connected(url) as connection:
        execute(connection, OUTBOXEVENT)
        execute(connection, "create role orders_app")
        execute(connection, f"create publication theirs for {tables}")
        execute(connection, "select pg_create_logical_replication_slot('debezium', 'pgoutput')")
        connection.execute(WRITE, ('{"before": 1}',))
        execute(connection, script)
        execute(connection, "set role orders_app")
        wrote = connection.execute(WRITE, ('{"after": 1}',))
        assert wrote.rowcount == 1
        (event_id,) = wrote.fetchone() or ("",)
        execute(connection, "reset role")

        theirs = rows_for_a_connector(connection, "theirs")
        assert [b'{"before"' in row for row in theirs].count(True) == 1
        assert not any(b'{"after"' in row for row in theirs)
        assert any(b"handover" in row for row in theirs)
    mock_broker.create_topic("outbox.event.order")
    drained(url, mock_broker)
    record = read_topic(mock_broker.bootstrap_servers, "outbox.event.order", at_least=1)[-1]
    assert (record.header("id"), record.key, record.value) == (
        event_id.encode(),
        b"7",
        b'{"after": 1}',
    )


def test_the_slot_begins_where_the_relay_was_done(url: str, mock_broker: Broker) -> None:
    prepare, lock, advance = examples(TO_DEBEZIUM, "sql")
    mock_broker.create_topic("to.debezium")
    with connected(url) as connection:
        for statement in re.split(
            r";.*\n", prepare
        ):  # a slot is not made in the transaction of another
            execute(connection, statement)
        emit(url, "to.debezium", payload=b"published by the relay")
        execute(connection, lock)
        drained(url, mock_broker)
        assert status(url)["pending"] == 0
        execute(connection, advance)
        emit(url, "to.debezium", payload=b"for the connector")
        execute(connection, "truncate outbox.event")
        (row,) = rows_for_a_connector(connection, "debezium")
    assert b"for the connector".hex().encode() in row
    assert len(read_topic(mock_broker.bootstrap_servers, "to.debezium", at_least=1)) == 1


def test_the_commands_that_take_a_table_over_are_as_the_chapter_has_them(
    database_url: str,
) -> None:
    make(database_url, "public.outbox_messages")
    with connected(database_url) as connection:
        execute(
            connection,
            "insert into outbox_messages (topic, key, payload) values ('orders', '7', '{}')",
        )
    (block,) = examples(TABLE, "sh")
    said: list[Any] = []
    for line in block.splitlines():
        _, *args = shlex.split(line, comments=True)
        outcome = relay(*args, database_url=database_url)
        said.append((outcome.exit_code, outcome.out.splitlines()[0]))
    assert said == [
        (0, "1 rows of public.outbox_messages fit, and would become events"),
        (0, "1 rows of public.outbox_messages are events now"),
    ]
