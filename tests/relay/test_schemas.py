"""Several outboxes in one database, each in a schema of its own."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from coordinator import Coordinator, Outbox, OutboxEvent, Transaction, migrating
from relay.address import Address
from relay.admin import migrate, roles
from tests.cli.command import Outcome, relay
from tests.coordinator.database import engine_on
from tests.migrations.schema import schema_of
from tests.relay.events import connected, idempotency_key, value_of
from tests.support.consume import read_topic
from tests.support.kafka import Broker
from tests.support.processes import StartRelay
from tests.support.wait import until

# Words of SQL as well: a name that is not quoted would be seen.
NAMES = ("order", "user")
LEADERS = "select count(*) from {0}.lease where expires_at > clock_timestamp()"


@pytest.fixture
def url(empty_database_url: str) -> str:
    for name in NAMES:
        migrate.upgrade(Address(empty_database_url, name))
    return empty_database_url


@pytest.fixture
def topics(mock_broker: Broker) -> dict[str, str]:
    found = {name: f"{name}.{uuid4().hex[:8]}" for name in NAMES}
    for topic in found.values():
        mock_broker.create_topic(topic)
    return found


def settings(url: str) -> dict[str, str]:
    """Of one process that serves both."""
    return {f"RELAY_OUTBOX_{name.upper()}_SCHEMA": name for name in NAMES} | {
        f"RELAY_OUTBOX_{name.upper()}_DATABASE_URL": url for name in NAMES
    }


def command(url: str, broker: Broker, *args: str, schema: str = "order") -> Outcome:
    return relay(
        *args,
        database_url=url,
        bootstrap_servers=broker.bootstrap_servers,
        RELAY_SCHEMA=schema,
    )


def emit(url: str, schema: str, topic: str, count: int = 1) -> list[str]:
    with connected(url) as connection:
        rows = connection.execute(
            f'select "{schema}".emit(%s, %s, %s, %s)::text from generate_series(1, %s)'.encode(),
            (topic, "k", "thing.happened", b"{}", count),
        )
        return [str(row[0]) for row in rows]


def sent_to(broker: Broker, topic: str, at_least: int) -> list[str]:
    records = read_topic(broker.bootstrap_servers, topic, at_least=at_least)
    return [idempotency_key(one) for one in records]


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_one_process_serves_both_and_publishes_each_ones_events_in_order(
    url: str, broker: Broker, topics: dict[str, str], relay_process: StartRelay, delivery: str
) -> None:
    for topic in topics.values():
        broker.create_topic(topic)
    written = {name: emit(url, name, topics[name], 50) for name in NAMES}
    relay_process({}, broker.bootstrap_servers, **settings(url), RELAY_DELIVERY=delivery)

    for name in NAMES:
        assert sent_to(broker, topics[name], at_least=50) == written[name]


def test_two_processes_share_them(url: str, mock_broker: Broker, relay_process: StartRelay) -> None:
    for _ in range(2):
        relay_process({}, mock_broker.bootstrap_servers, **settings(url))
    led = "select count(distinct split_part(owner, '/', 2)) from ({}) led".format(
        " union all ".join(f'select owner from "{name}".lease' for name in NAMES)
    )
    until(lambda: value_of(url, led) == 2, what="each to lead one of them", timeout_s=30.0)


def test_one_that_is_broken_leaves_the_other_alone(
    url: str, mock_broker: Broker, topics: dict[str, str], relay_process: StartRelay
) -> None:
    with connected(url) as owner:
        owner.execute('drop schema "user" cascade')
    relay = relay_process({}, mock_broker.bootstrap_servers, **settings(url))
    relay.wait_for_log("outbox_failed", outbox="user")
    written = emit(url, "order", topics["order"], 5)
    assert sent_to(mock_broker, topics["order"], at_least=5) == written


def test_what_was_published_makes_room_in_each_by_itself(
    url: str, mock_broker: Broker, topics: dict[str, str], relay_process: StartRelay
) -> None:
    """A leaf of the ring is emptied in one, and the other keeps what it has."""
    with connected(url) as owner:
        owner.execute("select setval('\"order\".event_position', (1 << 20) - 2)")
    emit(url, "user", topics["user"])
    emit(url, "order", topics["order"], 5)
    relay_process({}, mock_broker.bootstrap_servers, **settings(url), RELAY_RETENTION="0s")
    until(
        lambda: value_of(url, 'select count(*) from "order".event') < 5,
        what="the leaf behind to be emptied",
        timeout_s=60.0,
    )
    assert value_of(url, 'select count(*) from "user".event') == 1


def test_two_processes_hand_over_one_and_the_other_is_not_touched(
    url: str, mock_broker: Broker, topics: dict[str, str], relay_process: StartRelay
) -> None:
    """A new leader ends the sessions of earlier ones of its outbox, and of that alone."""
    held = {"RELAY_SCHEMA": "user"}
    keeps = relay_process(url, mock_broker.bootstrap_servers, **held)
    keeps.wait_for_log("leading")
    frozen = relay_process(url, mock_broker.bootstrap_servers, RELAY_SCHEMA="order")
    frozen.wait_for_log("leading")
    frozen.suspend()
    relay_process(url, mock_broker.bootstrap_servers, RELAY_SCHEMA="order").wait_for_log("leading")

    written = {name: emit(url, name, topics[name]) for name in NAMES}
    for name in NAMES:
        assert sent_to(mock_broker, topics[name], at_least=1) == written[name]
    assert value_of(url, 'select term from "user".lease') == 1
    assert "unreachable" not in keeps.log_text()


def test_the_sessions_of_each_say_whose_they_are(
    url: str, mock_broker: Broker, relay_process: StartRelay
) -> None:
    relay_process({}, mock_broker.bootstrap_servers, **settings(url))
    named = "select array_agg(distinct split_part(application_name, ' ', 1)) from pg_stat_activity"
    ours = f"{named} where application_name like 'relay%'"
    until(
        lambda: set(value_of(url, ours) or ()) == {"relay@order", "relay@user"},
        what="sessions of both",
    )


def test_a_writer_of_one_wakes_the_relay_that_sleeps_for_it(
    url: str, mock_broker: Broker, topics: dict[str, str], relay_process: StartRelay
) -> None:
    assert command(url, mock_broker, "migrate", "--wakeup", "listen").exit_code == 0
    one = relay_process(
        url, mock_broker.bootstrap_servers, RELAY_SCHEMA="order", RELAY_WAKEUP="listen"
    )
    assert one.wait_for_log("leading")["wakeup"] == "listen"
    asleep = (
        "select count(*) from pg_locks where locktype = 'advisory' and objsubid = 2 and granted"
    )
    until(lambda: value_of(url, asleep), what="the relay to sleep")
    written = emit(url, "order", topics["order"])
    assert sent_to(mock_broker, topics["order"], at_least=1) == written


def test_what_is_asked_of_one_says_nothing_of_the_other(
    url: str, mock_broker: Broker, topics: dict[str, str]
) -> None:
    emit(url, "user", topics["user"], 3)
    found = {
        name: json.loads(command(url, mock_broker, "status", "--json", schema=name).out)
        for name in NAMES
    }
    assert {name: one["pending"] for name, one in found.items()} == {"order": 0, "user": 3}


def test_parking_pausing_replay_and_verifying_work_in_a_schema_of_another_name(
    url: str, mock_broker: Broker, topics: dict[str, str]
) -> None:
    topic = topics["order"]
    key = ("--topic", topic, "--key", "k", "--who", "test", "--why", "test")
    assert command(url, mock_broker, "pause", *key).exit_code == 0
    written = emit(url, "order", topic, 5)
    assert command(url, mock_broker, "run", "--until-drained").exit_code == 0
    listed = json.loads(command(url, mock_broker, "parked", "list", "--json").out)
    assert len(listed) == 1, listed

    assert command(url, mock_broker, "resume", *key).exit_code == 0
    assert command(url, mock_broker, "run", "--until-drained").exit_code == 0
    assert sent_to(mock_broker, topic, at_least=5) == written
    replayed = command(url, mock_broker, "replay", "--since", "1h", "--for", "g", "--json")
    assert replayed.exit_code == 0, replayed.said
    assert sent_to(mock_broker, topic, at_least=10) == written * 2
    verified = command(url, mock_broker, "verify", "--since", "1h")
    assert verified.exit_code == 0, verified.said


def test_rows_of_a_published_at_table_are_taken_over_into_it(
    url: str, mock_broker: Broker, topics: dict[str, str]
) -> None:
    with connected(url) as connection:
        connection.execute(
            "create table public.outbox (id uuid primary key, topic text, key text, type text,"
            " payload bytea, headers jsonb, created_at timestamptz default now(),"
            " published_at timestamptz)"
        )
        connection.execute(
            "insert into public.outbox values (gen_random_uuid(), %s, 'k', 't', '', '{}')",
            (topics["order"],),
        )
    taken = command(
        url, mock_broker, "adopt", "public.outbox", "--order-by", "created_at", "--json"
    )
    assert taken.exit_code == 0, taken.said
    assert value_of(url, 'select count(*) from "order".event') == 1
    assert value_of(url, "select count(*) from public.outbox where published_at is null") == 0


def test_nothing_of_an_outbox_that_is_taken_down_stays_and_the_other_is_as_it_was(
    url: str, mock_broker: Broker
) -> None:
    before = schema_of(url)
    roles.grant_roles(Address(url, "order"))
    migrate.upgrade(url)
    migrate.downgrade(url, "base")
    down = command(url, mock_broker, "migrate", "--down", "base")
    assert (down.exit_code, down.out) == (0, "schema is at base\n")

    left = schema_of(url)
    assert left["schemas"] == {"public", "user"}
    assert all(left[kind] <= before[kind] for kind in before)
    assert migrate.current(Address(url, "user")) == migrate.head()


# What is called after the schema, or reaches one: names, and whatever PostgreSQL keeps as an
# expression. Bodies are looked at as text in tests/core/test_outbox_schema.py.
LEFT = """
select nspname::text from pg_namespace where nspname ~ 'outbox'
union all select pg_get_viewdef(oid) from pg_class where relkind = 'v' and relnamespace >= 16384
union all select pg_get_expr(adbin, adrelid) from pg_attrdef
union all select pg_get_constraintdef(oid) || conname from pg_constraint where connamespace >= 16384
union all select oid::regclass::text from pg_class where relnamespace >= 16384 or relname ~ 'outbox'
union all select pg_get_triggerdef(oid) from pg_trigger
union all select pg_get_functiondef(oid) from pg_proc
          where pronamespace >= 16384 and prosqlbody is not null
"""


@pytest.mark.parametrize("by", ["relay migrate", "the user's own tool"])
def test_nothing_in_the_database_is_called_or_reaches_outbox(
    empty_database_url: str, by: str
) -> None:
    if by == "relay migrate":
        migrate.upgrade(Address(empty_database_url, "order"))
    else:
        by_library(empty_database_url, "order")
    with connected(empty_database_url) as connection:
        found = [str(row[0]) for row in connection.execute(LEFT.encode())]
    assert [one for one in found if "outbox" in one] == []


def by_library(url: str, schema: str) -> None:
    with engine_on(url) as engine, engine.begin() as connection:
        context = MigrationContext.configure(connection)
        migrating.upgrade(Operations(context), schema=schema)


def test_the_users_own_tool_makes_one_beside_another(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url)
    for name in NAMES:
        by_library(empty_database_url, name)
        assert migrate.current(Address(empty_database_url, name)) == migrate.head()


def test_up_down_and_up_again_is_the_same(url: str) -> None:
    before = schema_of(url)
    migrate.downgrade(Address(url, "user"), "base")
    migrate.upgrade(Address(url, "user"))
    assert schema_of(url) == before


def test_the_printed_sql_is_of_the_schema_that_is_set(mock_broker: Broker) -> None:
    printed = relay("migrate", "--sql", "--roles", unset="RELAY_DATABASE_URL", RELAY_SCHEMA="order")
    assert printed.exit_code == 0
    assert 'create table "order".event (' in printed.out
    assert "create table outbox." not in printed.out
    assert "schema inbox" not in printed.out


def test_a_setting_for_all_is_named_where_it_is_wrong() -> None:
    outcome = relay("status", database_url={"a": "dbname=x"}, RELAY_SCHEMA="No")
    assert outcome.err.count("RELAY_SCHEMA: must be") == 1
    assert "RELAY_OUTBOX_A_SCHEMA" not in outcome.err


@pytest.mark.parametrize("name", ["", "Order", "pg_outbox", "public", "o" * 25])
def test_a_schema_that_cannot_be_is_refused_by_its_setting(name: str) -> None:
    for setting, url in (("RELAY_SCHEMA", "x"), ("RELAY_OUTBOX_A_SCHEMA", {"a": "dbname=x"})):
        outcome = relay("status", database_url=url, **{setting: name})
        assert outcome.exit_code == 78, outcome.said
        assert f"{setting}: " in outcome.err


def test_a_transaction_writes_to_the_outbox_that_its_coordinator_was_given(
    url: str, mock_broker: Broker, topics: dict[str, str]
) -> None:
    migrate.upgrade(url)
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    coordinator = Coordinator(engine, outbox=Outbox(schema="order"))
    event = OutboxEvent(topic=topics["order"], key="k", type="t", payload=b"{}")

    def work(tx: Transaction) -> None:
        tx.emit(event)

    outcome = coordinator.run(work, key=("once",))
    assert not outcome.wait_published(timeout_s=0.1)
    assert command(url, mock_broker, "run", "--until-drained").exit_code == 0
    assert outcome.wait_published(timeout_s=5)
    with Session(engine) as session:
        assert session.execute(text("select count(*) from outbox.event")).scalar() == 0
    engine.dispose()
