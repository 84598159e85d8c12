"""The roles of the README do their work, and no more: its SQL is executed as it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from coordinator import (
    Outbox,
    OutboxEvent,
    TraceFacade,
    create_transaction_coordinator,
    once,
)
from tests.cli.command import relay as run_relay
from tests.cli.command import status
from tests.support.kafka import Broker

README = Path(__file__).parents[2] / "README.md"
ROLES = ("outbox_writer", "outbox_relay", "outbox_coordinator", "outbox_consumer")


@pytest.fixture
def logins(database_url: str) -> Iterator[dict[str, str]]:
    """For each role of the README, the URL of a user that has it and nothing else."""
    block = re.search(r"```sql\n(create role.*?)```", README.read_text(), re.DOTALL)
    assert block is not None
    suffix = uuid4().hex[:8]
    statements = re.sub(
        r"\b(outbox_(?:writer|relay|coordinator|consumer))\b", rf"\1_{suffix}", block[1]
    )
    users = {role: f"{role}_{suffix}" for role in ROLES}
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(statements.encode())
        for user in users.values():
            owner.execute(sql.SQL("alter role {} login password 'secret'").format(name(user)))
        yield {
            role: make_conninfo(database_url, user=user, password="secret")
            for role, user in users.items()
        }
        for user in users.values():
            owner.execute(sql.SQL("drop owned by {0}").format(name(user)))
            owner.execute(sql.SQL("drop role {0}").format(name(user)))


def name(user: str) -> sql.Identifier:
    return sql.Identifier(user)


def test_a_writer_emits_by_sql_and_by_the_library_and_can_read_nothing(
    logins: dict[str, str], database_url: str
) -> None:
    url = logins["outbox_writer"]
    with psycopg.connect(url, autocommit=True) as writer:
        writer.execute("select outbox.emit('t', 'k', 'thing.happened', '')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            writer.execute("select from outbox.event")
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url))
    with engine.begin() as connection:
        event = OutboxEvent.json(topic="t", key="k", type="thing.happened", data={})
        Outbox().add(connection, event)
    engine.dispose()
    assert status(database_url)["pending"] == 2


def test_a_run_is_completed_by_the_role_of_a_coordinator(
    logins: dict[str, str], database_url: str
) -> None:
    url = logins["outbox_coordinator"]
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url))
    with Session(engine) as session, session.begin():
        TraceFacade().start(session, tenant_id="t", run_id="r", trace_id="trace")
    coordinator = create_transaction_coordinator(engine=engine)
    run: dict[str, Any] = {
        "run_id": "r",
        "tenant_id": "t",
        "run_status": "failed",
        "trace_id": "trace",
    }
    assert [coordinator.execute(**run).replayed for _ in range(2)] == [False, True]
    engine.dispose()
    assert status(database_url)["pending"] == 4


def test_a_user_without_a_role_cannot_emit(logins: dict[str, str]) -> None:
    with (
        psycopg.connect(logins["outbox_consumer"], autocommit=True) as stranger,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        stranger.execute("select outbox.emit('t', 'k', 'thing.happened', '')")


def test_the_relay_publishes_with_its_role_and_can_write_no_event(
    logins: dict[str, str], database_url: str, broker: Broker, topic: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("select outbox.emit(%s, 'k', 'thing.happened', '')", (topic,))
    url = logins["outbox_relay"]
    outcome = run_relay(
        "run", "--until-drained", database_url=url, bootstrap_servers=broker.bootstrap_servers
    )
    assert outcome.exit_code == 0, outcome.said
    assert status(url)["pending"] == 0
    with (
        psycopg.connect(url, autocommit=True) as relay,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        relay.execute("select outbox.emit('t', 'k', 'thing.happened', '')")


def test_a_consumer_notes_what_it_has_taken(logins: dict[str, str]) -> None:
    url, event_id = logins["outbox_consumer"], uuid4()
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url))
    answers = []
    for _ in range(2):
        with engine.begin() as connection:
            answers.append(once(connection, event_id, consumer="billing"))
    engine.dispose()
    assert answers == [True, False]
