"""Every role against everything that can be asked of the database: x is allowed, - is denied.

The table is written by hand. What has no line in it fails `test_everything_has_a_line`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy.orm import Session

from coordinator import (
    Coordinator,
    Outbox,
    OutboxEvent,
    TraceFacade,
    Transaction,
    create_transaction_coordinator,
    first_seen,
    once,
    recover,
)
from tests.cli.command import relay as run_relay
from tests.coordinator.database import engine_on
from tests.relay.events import connected
from tests.support.postgres import Postgres
from tests.support.relay_statements import BOUND, statements
from tests.support.roles import NOBODY, ROLES, users_with_roles

WHO = ("writer", "coordinator", "relay", "monitor", "consumer", "operator", "nobody")
TABLE = """
                          writer  coordinator  relay  monitor  consumer  operator  nobody
    add                      x         x         -       -         -         -         -
    add_all                  x         x         -       -         -         -         -
    emit                     x         x         -       -         -         -         -
    emit_many                x         x         -       -         -         -         -
    debezium's rows          x         x         -       -         -         -         -
    run                      -         x         -       -         -         -         -
    execute                  -         x         -       -         -         -         -
    execute with trace       -         x         -       -         -         -         -
    is_published             -         x         -       -         -         -         -
    once                     -         -         -       -         x         -         -
    first_seen               -         -         -       -         x         -         -
    status                   -         -         x       x         -         -         -
    migrate --down           -         -         -       -         -         -         -
    migrate --roles          -         -         -       -         -         -         -
    migrate --wakeup         -         -         -       -         -         -         -

    read topics              -         -         x       -         -         x         -
    read keys                -         -         x       -         -         -         -
    read payloads            -         -         x       -         -         -         -
    read headers             -         -         x       -         -         -         -
    read a leaf              -         -         x       -         -         -         -
    read records             -         x         -       -         -         -         -
    read runs                -         x         -       -         -         -         -
    write a run's ack        -         x         -       -         -         -         -
    write an ack             -         x         -       -         -         -         -
    expire                   -         -         -       -         x         -         -
    read taken events        -         -         -       -         -         -         -
    read what is parked      -         -         -       -         x         -         -
    move a mark              -         -         -       -         x         -         -
    trim recent ids          -         -         -       -         x         -         -
    delete a mark            -         -         -       -         -         -         -
    move the generation      -         -         -       -         -         -         -
    read intents             -         x         -       -         -         -         -
    delete settlements       -         x         -       -         -         -         -
    recover                  -         x         -       -         -         -         -
    read debezium's rows     -         -         -       -         -         -         -
    change debezium's rows   -         -         -       -         -         -         -
    delete debezium's rows   -         -         -       -         -         -         -
    write a position         -         -         -       -         -         -         -
    write a txid             -         -         -       -         -         -         -
    write a record's txid    -         -         -       -         -         -         -
    change an event          -         -         -       -         -         -         -
    delete an event          -         -         -       -         -         -         -
    empty a leaf             -         -         x       -         -         -         -
    empty the table          -         -         -       -         -         -         -
    delete a window          -         -         -       -         -         -         -
    park an event            -         -         x       -         -         -         -
    delete a record          -         -         -       -         -         -         -
    delete from the inbox    -         -         -       -         -         -         -
    create in the schema     -         -         -       -         -         -         -

    session_begin            x         x         x       x         x         x         x
    session_pinned           x         x         x       x         x         x         x
    session_limited          x         x         x       x         x         x         x
    session_commit           x         x         x       x         x         x         x
    window_snapshot          x         x         x       x         x         x         x
    window_look              x         x         x       x         x         x         x
    window_plan              -         -         x       -         -         -         -
    window_page              -         -         x       -         -         -         -
    cursor_newest            -         -         x       x         -         -         -
    cursor_append            -         -         x       -         -         -         -
    cursor_block             -         -         x       -         -         -         -
    cursor_unblock           -         -         x       -         -         -         -
    cursor_end_former        x         x         x       x         x         x         x
    cursor_durable           x         x         x       x         x         x         x
    lease_acquire            -         -         x       -         -         -         -
    lease_renew              -         -         x       -         -         -         -
    lease_release            -         -         x       -         -         -         -
    lease_claim              -         -         x       -         -         -         -
    lease_leader             -         -         x       x         -         -         -
    lease_hand_over          -         -         x       -         -         -         -
    status_lease             -         -         x       x         -         -         -
    status_manner            x         x         x       x         x         x         x
    status_pending           -         -         x       x         -         -         -
    status_parked            -         -         x       x         -         x         -
    status_retained          -         -         x       x         -         -         -
    doctor_server            x         x         x       x         x         x         x
    doctor_settings          x         x         x       x         x         x         x
    doctor_standbys          x         x         x       x         x         x         x
    doctor_privileges        x         x         x       x         -         x         -
    doctor_pending           -         -         x       -         -         -         -
    doctor_recent            -         -         x       -         -         -         -
    board_passed             -         -         x       x         -         -         -
    board_relays             x         x         x       x         x         x         x
    board_waiting            -         -         x       -         -         x         -
    blockers_named           x         x         x       x         -         x         -
    rotation_settings        x         x         x       x         x         x         x
    rotation_survey          -         -         x       -         -         -         -
    rotation_mark            -         -         x       -         -         -         -
    rotation_forget          -         -         x       -         -         -         -
    rotation_lock            -         -         x       -         -         -         -
    rotation_term            -         -         x       -         -         -         -
    rotation_needed          -         -         x       -         -         -         -
    rotation_log_needed      -         -         x       -         -         -         -
    rotation_truncate        -         -         x       -         -         -         -
    retained_now             x         x         x       x         x         x         x
    retained_milestones      -         -         x       -         -         -         -
    retained_log             -         -         x       -         -         -         -
    retained_count           -         -         x       -         -         -         -
    retained_page            -         -         x       -         -         -         -
    retained_withheld        -         -         x       -         -         -         -
    retained_block           -         -         x       x         -         x         -
    cluster_identity         x         x         x       x         x         x         x
    cluster_schema           x         x         x       x         -         x         -
    cluster_version          -         -         x       x         -         x         -
    cluster_serves_since     -         -         x       x         -         x         -
    cluster_hazards          x         x         x       x         -         x         -
    cluster_epoch_newest     -         -         x       -         -         -         -
    cluster_floor            -         -         x       x         -         -         -
    cluster_sequence         -         -         x       x         -         x         -
    cluster_epoch_add        -         -         x       -         -         -         -
    cluster_milestones_forgotten -     -         x       -         -         -         -
    wakeup_fit               x         x         x       x         -         x         -
    wakeup_listen            x         x         x       x         x         x         x
    wakeup_lie_down          x         x         x       x         -         x         -
    wakeup_rise              x         x         x       x         -         x         -
    wakeup_lock_timeout      x         x         x       x         x         x         x
    wakeup_on                -         -         -       -         -         -         -
    wakeup_off               -         -         -       -         -         -         -
    adopt_table              x         x         x       x         x         x         x
    adopt_columns            x         x         x       x         x         x         x
    adopt_take               -         -         -       -         -         -         -
    adopt_look               -         -         -       -         -         -         -
    adopt_insert             x         x         -       -         -         -         -
    adopt_mark               -         -         -       -         -         -         -
    cluster_outbox           -         -         x       -         -         -         -
    downgrade_parked         -         -         -       -         x         -         -
    downgrade_not_undone     -         x         -       -         -         -         -
    parking_put              -         -         x       -         -         -         -
    parking_put_back         -         -         x       -         -         -         -
    parking_hold             -         -         x       -         -         -         -
    parking_done             -         -         x       -         -         x         -
    parking_holds            -         -         x       -         -         x         -
    parking_wanted           -         -         x       -         -         x         -
    parking_news             -         -         x       -         -         x         -
    parking_release          -         -         x       -         -         -         -
    parking_end              -         -         x       -         -         -         -
    parking_go_on            -         -         x       -         -         -         -
    parking_take             -         -         x       -         -         -         -
    parking_awaited          -         -         x       -         -         x         -
    parking_there            -         -         x       -         -         x         -
    parking_plan             -         -         x       -         -         x         -
    parking_page             -         -         x       -         -         x         -
    parked_list              -         -         x       -         -         x         -
    parked_show              -         -         x       -         -         x         -
    parked_retry_holds       -         -         x       -         -         x         -
    parked_retry_keyless     -         -         x       -         -         x         -
    parked_lock_holds        -         -         x       -         -         x         -
    parked_discard           -         -         x       -         -         x         -
    parked_release_empty     -         -         x       -         -         x         -
    parked_pause             -         -         x       -         -         x         -
    parked_known             -         -         x       -         -         x         -
    parked_resume            -         -         x       -         -         x         -
    parked_note              -         -         -       -         -         x         -
"""

SQL = {
    "emit": "select outbox.emit('t', 'k', 'thing.happened', '')",
    "emit_many": "select outbox.emit_many(array['t'], array['k'], array['x.y'], array[''::bytea])",
    "debezium's rows": "insert into outbox.debezium values"
    " (gen_random_uuid(), 't', 'k', 'x.y', '{}')",
    "read debezium's rows": "select * from outbox.debezium",
    "change debezium's rows": "update outbox.debezium set payload = ''",
    "delete debezium's rows": "delete from outbox.debezium",
    "is_published": "select outbox.is_published(1, array[gen_random_uuid()])",
    "read topics": "select topic from outbox.event",
    "read keys": "select key from outbox.event",
    "read payloads": "select payload from outbox.event",
    "read headers": "select headers from outbox.event",
    "read a leaf": "select position from outbox.event_0",
    "read records": "select * from public.transaction_records",
    "read runs": "select * from public.run_completions",
    "expire": "select inbox.expire()",
    "read taken events": "select * from inbox.seen",
    "read what is parked": "select * from inbox.parked join inbox.hold on hold.id = hold_id",
    "move the generation": "update inbox.generation set number = 9",
    "write a position": "insert into outbox.event (position, topic, type) overriding system value"
    " values (1, 't', 'x.y')",
    "write a txid": "insert into outbox.event (txid, topic, type) values ('1', 't', 'x.y')",
    "write a record's txid": "insert into public.transaction_records"
    " (key, call_id, arguments, outcome, txid) values ('{k}', gen_random_uuid(), '{}', '{}', 1)",
    "write a run's ack": "insert into public.domain_acks (id, tenant_id, run_id, call_id, domain,"
    " action, status, reason, action_succeeded) values (gen_random_uuid(), 't', 'r',"
    " gen_random_uuid(), 'd', 'a', 'rolled_back', 'r', true)",
    "write an ack": "insert into public.transaction_acks (id, key, call_id, domain,"
    " action, status, reason, action_succeeded) values (gen_random_uuid(), '{k}',"
    " gen_random_uuid(), 'd', 'a', 'rolled_back', 'r', true)",
    "read intents": "select * from public.transaction_intents",
    "delete settlements": "delete from public.transaction_settlements",
    "move a mark": "update inbox.mark set consumer = consumer",
    "trim recent ids": "delete from inbox.recent",
    "delete a mark": "delete from inbox.mark",
    "change an event": "update outbox.event set payload = ''",
    "delete an event": "delete from outbox.event",
    "empty a leaf": "truncate outbox.event_0",
    "empty the table": "truncate outbox.event",
    "delete a window": "delete from outbox.window",
    "park an event": "insert into outbox.parked (position, id, topic, reason, type, content_type,"
    " headers, created_at) values (1, gen_random_uuid(), 't', 'r', 't', 'c', '{}', now())",
    "delete a record": "delete from public.transaction_records",
    "delete from the inbox": "delete from inbox.seen",
    "create in the schema": "create table outbox.mine ()",
}

# A table of the user's that is taken over: whose rights on it he grants himself.
LEGACY = dict.fromkeys(("id", "topic", "key", "type", "payload", "headers", "order"), "id") | {
    "published_at": "published_at"
}


def event() -> OutboxEvent:
    return OutboxEvent.json(topic="t", key="k", type="thing.happened", data={})


def publish(tx: Transaction) -> None:
    tx.emit(event())


def add(session: Session) -> None:
    Outbox().add(session, event())


def add_all(session: Session) -> None:
    Outbox().add_all(session, [event() for _ in range(20)])


def run(session: Session) -> None:
    Coordinator(session.get_bind().engine).run(publish, key=(uuid4(),)).wait_published(0)


def execute(session: Session) -> None:
    coordinator = create_transaction_coordinator(engine=session.get_bind().engine)
    run_id = str(uuid4())
    for _ in range(2):
        coordinator.execute(run_id=run_id, tenant_id="t", run_status="failed").wait_published(0)


def execute_with_trace(session: Session) -> None:
    run_id = str(uuid4())
    trace_id = TraceFacade().start(session, tenant_id="t", run_id=run_id)
    session.commit()
    coordinator = create_transaction_coordinator(engine=session.get_bind().engine)
    coordinator.execute(run_id=run_id, tenant_id="t", run_status="failed", trace_id=trace_id)


PYTHON: Mapping[str, Callable[[Session], object]] = {
    "add": add,
    "add_all": add_all,
    "run": run,
    "execute": execute,
    "execute with trace": execute_with_trace,
    "recover": lambda session: recover(session.get_bind().engine),
    "once": lambda session: once(session, uuid4(), consumer="billing"),
    "first_seen": lambda session: first_seen(session, [uuid4()], consumer="billing"),
}
COMMANDS = {
    "status": ("status",),
    "migrate --down": ("migrate", "--down", "base", "--discard-pending"),
    "migrate --roles": ("migrate", "--roles"),
    "migrate --wakeup": ("migrate", "--wakeup", "listen"),
}


@pytest.fixture(scope="module")
def users(postgres: Postgres, migrated_template: str) -> Iterator[Mapping[str, str]]:
    with postgres.database(migrated_template) as name, users_with_roles(postgres.url(name)) as made:
        with connected(postgres.url(name)) as connection:
            connection.execute("create table public.legacy (id int, published_at timestamptz)")
        yield {role.removeprefix("outbox_"): url for role, url in made.items()}


def is_allowed(what: str, url: str) -> bool:
    """Do it as a user does; anything but success and a denial is an error of this test."""
    if what in COMMANDS:
        outcome = run_relay(*COMMANDS[what], database_url=url)
        assert (
            outcome.exit_code == 0
            or "permission denied" in outcome.err
            or ("must be owner" in outcome.err)
        ), outcome.said
        return outcome.exit_code == 0
    try:
        if what in PYTHON:
            with engine_on(url) as engine, Session(engine) as session:
                PYTHON[what](session)
        else:
            statement = SQL.get(what) or _filled(what)
            with connected(url) as connection, connection.transaction(force_rollback=True):
                connection.execute(statement.encode(), BOUND.get(what))
    except Exception as error:
        if not _is_denial(error):
            raise
        return False
    return True


def _filled(what: str) -> str:
    leaf = "window_0" if "log" in what else "event_0"
    statement = statements()[what].replace("{leaf}", leaf).replace("{table}", "public.legacy")
    return re.sub(r"\{([a-z_]+)\}", lambda found: LEGACY.get(found[1], found[0]), statement)


def _is_denial(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(getattr(error, "orig", error), psycopg.errors.InsufficientPrivilege):
            return True
        error = error.__cause__
    return False


def lines() -> dict[str, dict[str, bool]]:
    """What is in the table, by what is asked and who asks."""
    head, *rows = (line.rsplit(maxsplit=len(WHO)) for line in TABLE.splitlines() if line.strip())
    assert tuple(head) == WHO
    return {
        row[0].strip(): {who: mark == "x" for who, mark in zip(WHO, row[1:], strict=True)}
        for row in rows
    }


def test_everything_has_a_line() -> None:
    assert set(lines()) == {*statements(), *SQL, *PYTHON, *COMMANDS}


def test_everybody_has_a_column() -> None:
    assert {role.removeprefix("outbox_") for role in (*ROLES, NOBODY)} == set(WHO)


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("what", [*statements(), *SQL, *PYTHON, *COMMANDS])
def test_each_may_what_the_table_says(users: Mapping[str, str], what: str, who: str) -> None:
    assert is_allowed(what, users[who]) is lines()[what][who]
