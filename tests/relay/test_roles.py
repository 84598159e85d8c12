"""`relay migrate --roles`: the roles do their work, again after each upgrade, for any owner."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from sqlalchemy import text
from sqlalchemy.orm import Session

from coordinator import (
    Coordinator,
    OutboxEvent,
    TraceFacade,
    Transaction,
    TransactionFailed,
    create_transaction_coordinator,
    discard,
    migrating,
    once,
    recover,
    release,
    undo,
)
from coordinator.inbox.handling import each
from coordinator.inbox.ids import Ids
from coordinator.inbox.marks import Marks
from coordinator.inbox.release import handle_released
from relay.admin import migrate
from relay.admin.roles import grant_roles
from tests.cli.command import relay as run_relay
from tests.cli.command import status
from tests.coordinator.database import engine_on
from tests.coordinator.records import handling, record
from tests.coordinator.relay_records import relay_record
from tests.migrations.project import Project
from tests.relay.events import connected, emit, value_of
from tests.support.kafka import Broker
from tests.support.postgres import CrashablePostgres
from tests.support.roles import users_with_roles
from tests.support.wait import until

MAY_EMIT = """select has_function_privilege(
    'outbox_writer', 'outbox.emit(text, text, text, bytea, jsonb)', 'execute')"""


@pytest.fixture
def users(database_url: str) -> Iterator[Mapping[str, str]]:
    """For each role, the URL of a user that has it and nothing else."""
    with users_with_roles(database_url) as made:
        yield made


def publish(tx: Transaction) -> None:
    tx.emit(OutboxEvent.json(topic="t", key="k", type="thing.happened", data={}))


# --- at work ------------------------------------------------------------------------------------


def test_a_run_is_completed_and_asked_for_by_a_coordinator(
    users: Mapping[str, str], database_url: str
) -> None:
    with engine_on(users["outbox_coordinator"]) as engine:
        with Session(engine) as session, session.begin():
            TraceFacade().start(session, tenant_id="t", run_id="r", trace_id="trace")
        coordinator = create_transaction_coordinator(engine=engine)
        results = [
            coordinator.execute(run_id="r", tenant_id="t", run_status="failed", trace_id="trace")
            for _ in range(2)
        ]
        outcome = Coordinator(engine).run(publish, key=("k",))
        assert [result.replayed for result in results] == [False, True]
        assert [results[1].wait_published(0), outcome.wait_published(0)] == [False, False]
    assert status(database_url)["pending"] == 5


def test_a_coordinator_acts_outside_and_recovers(users: Mapping[str, str]) -> None:
    @undo("test.roles")
    def nothing() -> None: ...

    def acts_and_fails(tx: Transaction) -> None:
        tx.outside(nothing, undo=nothing)
        raise KeyError

    with engine_on(users["outbox_coordinator"]) as engine:
        with pytest.raises(TransactionFailed) as failed:
            Coordinator(engine).run(acts_and_fails, key=("t",))
        Coordinator(engine).run(lambda tx: tx.outside(nothing, undo=nothing), key=("t", 2))
        assert recover(engine).is_complete
    assert [ack.action_succeeded for ack in failed.value.acks] == [True]


def test_the_relay_publishes_and_both_who_may_ask_see_it(
    users: Mapping[str, str], database_url: str, broker: Broker, topic: str
) -> None:
    emit(database_url, topic)
    assert status(users["outbox_monitor"])["pending"] == 1
    outcome = run_relay(
        "run",
        "--until-drained",
        database_url=users["outbox_relay"],
        bootstrap_servers=broker.bootstrap_servers,
    )
    assert outcome.exit_code == 0, outcome.said
    assert status(users["outbox_relay"])["pending"] == 0
    assert status(users["outbox_monitor"])["pending"] == 0


def test_a_consumer_takes_an_event_once(users: Mapping[str, str]) -> None:
    event_id = uuid4()
    with engine_on(users["outbox_consumer"]) as engine:
        answers = []
        for _ in range(2):
            with engine.begin() as connection:
                answers.append(once(connection, event_id, consumer="billing"))
    assert answers == [True, False]


def test_a_consumer_moves_its_marks(users: Mapping[str, str]) -> None:
    batch = [relay_record(n) for n in range(3)]
    with engine_on(users["outbox_consumer"]) as engine:
        answers = []
        for _ in range(2):
            with Session(engine) as session, session.begin():
                answers.append(Marks().take(session, "billing", batch))
    assert answers == [[True] * 3, [False] * 3]


def test_a_consumer_parks_releases_and_lets_keys_expire(users: Mapping[str, str]) -> None:
    def refuse(*_: object) -> None:
        raise ValueError

    with engine_on(users["outbox_consumer"]) as engine:
        handling(engine, refuse).finish([record(0), record(1)])
        with engine.begin() as connection:
            first, last = connection.scalars(text("select id from inbox.parked order by id"))
            discard(connection, last, by="ada", why="sent twice")
            release(connection, first, by="ada")
        assert handle_released(engine, "billing", each(lambda *_: None)) == 1
        with Session(engine) as session, session.begin():
            Ids().tidy(session)


# --- made, and made again -----------------------------------------------------------------------


def test_the_command_makes_the_schema_and_then_the_roles(empty_database_url: str) -> None:
    outcome = run_relay("migrate", "--roles", database_url=empty_database_url)
    assert outcome.exit_code == 0, outcome.said
    assert outcome.out.splitlines()[-1] == "the roles outbox_* hold their grants"
    assert value_of(empty_database_url, MAY_EMIT)


def test_making_them_again_changes_nothing(users: Mapping[str, str], database_url: str) -> None:
    acl = "select array_agg(relacl::text order by oid) from pg_class where relacl is not null"
    before = value_of(database_url, acl)
    grant_roles(database_url)
    assert value_of(database_url, acl) == before


def test_what_was_granted_by_hand_is_taken_back_and_what_is_the_users_own_is_not(
    users: Mapping[str, str], database_url: str
) -> None:
    with connected(database_url) as owner:
        owner.execute("create table orders (id int)")
        owner.execute("grant select on orders, outbox.event to outbox_writer")
        grant_roles(database_url)
    with connected(users["outbox_writer"]) as writer:
        writer.execute("select from orders")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            writer.execute("select from outbox.event")


def test_the_printed_script_does_the_same(empty_database_url: str) -> None:
    with connected(empty_database_url) as owner:
        owner.execute(run_relay("migrate", "--sql", "--roles").out.encode())
    assert migrate.current(empty_database_url) == migrate.head()
    assert value_of(empty_database_url, MAY_EMIT)


def test_a_users_own_history_grants_them(tmp_path: Path, empty_database_url: str) -> None:
    project = Project(tmp_path, empty_database_url)
    project.add(
        "0001", "migrating.upgrade(op)\n    migrating.grant_roles(op)", "migrating.downgrade(op)"
    )
    project.upgrade()
    assert value_of(empty_database_url, MAY_EMIT)
    assert "roles" not in migrating.revisions()


def test_the_roles_do_not_go_with_a_downgrade(database_url: str) -> None:
    outcome = run_relay("migrate", "--roles", "--down", "base", database_url=database_url)
    assert outcome.exit_code == 2
    assert "--down" in outcome.err


def test_a_schema_that_is_older_is_said_to_be(database_url: str) -> None:
    migrate.downgrade(database_url, "0005_expand_emit_many")
    with pytest.raises(Exception, match="does not exist"):
        grant_roles(database_url)


def test_a_role_that_another_database_makes_at_this_moment_is_waited_for(
    own_postgres: Callable[..., CrashablePostgres],
) -> None:
    url = own_postgres().url()
    migrate.upgrade(url)
    waiting = "select count(*) from pg_locks where locktype = 'transactionid' and not granted"
    with psycopg.connect(url) as another, ThreadPoolExecutor(1) as pool:
        another.execute("create role outbox_relay")
        granting = pool.submit(grant_roles, url)
        until(lambda: value_of(url, waiting), what="the grants to wait")
        another.commit()
        granting.result(timeout=30)
    assert value_of(url, "select has_table_privilege('outbox_relay', 'outbox.event', 'select')")


def test_an_owner_who_may_create_no_role_is_told_what_to_have_run_and_then_served(
    own_postgres: Callable[..., CrashablePostgres],
) -> None:
    server = own_postgres()
    with connected(server.url()) as administrator:
        administrator.execute("create role landlord login password 'secret'")
        administrator.execute("create database house owner landlord")
        url = make_conninfo(server.url(), user="landlord", password="secret", dbname="house")
        refused = run_relay("migrate", "--roles", database_url=url)
        assert refused.exit_code == 78
        assert "role outbox_writer is missing, and landlord may not create roles" in refused.err
        (advice,) = refused.err.split('"')[1::2]
        administrator.execute(advice.encode())
    assert run_relay("migrate", "--roles", database_url=url).exit_code == 0
    assert_it_serves(url, server)


def assert_it_serves(url: str, server: CrashablePostgres) -> None:
    """The functions work with the rights of an owner who is no superuser."""
    with connected(server.url()) as administrator:
        administrator.execute(
            "create role tenant login password 'secret' in role outbox_coordinator"
        )
    tenant = make_conninfo(url, user="tenant", password="secret")
    with connected(tenant) as connection:
        connection.execute("select outbox.emit('t', 'k', 'thing.happened', '')")
        published = connection.execute(
            "select outbox.is_published(1, array[gen_random_uuid()])"
        ).fetchone()
    assert published == (False,)
