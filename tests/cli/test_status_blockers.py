"""`relay status` names the transactions that keep events, or the emptying of a leaf, waiting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from relay.postgres import status_reader
from tests.cli.command import relay, status
from tests.relay.events import emit
from tests.support.roles import users_with_roles


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name transactions however young they are; nobody has to wait ten seconds."""
    monkeypatch.setattr(status_reader, "BLOCKS_AFTER_S", 0.0)


@contextmanager
def open_transaction(url: str, name: str = "billing") -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, application_name=name) as connection:
        yield connection
        connection.rollback()


def named(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = status(url)["blockers"]["named"]
    return found


def test_a_writer_is_named_with_pid_application_state_and_age(
    at_once: None, database_url: str
) -> None:
    with open_transaction(database_url) as writer:
        writer.execute("select outbox.emit('t', 'k', 'happened', '')")
        (found,) = named(database_url)
        assert 0 <= found.pop("age_seconds") < 60
        assert found == {
            "pid": writer.info.backend_pid,
            "gid": None,
            "application_name": "billing",
            "state": "idle in transaction",
            "delays_events": True,
        }
    assert named(database_url) == []


def test_one_that_has_only_read_delays_no_event(at_once: None, database_url: str) -> None:
    with open_transaction(database_url, "report") as reader:
        reader.execute("select count(*) from outbox.event")
        (found,) = named(database_url)
    assert (found["application_name"], found["delays_events"]) == ("report", False)


def test_a_prepared_transaction_is_named_by_its_gid(at_once: None, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as writer:
        writer.execute("begin")
        writer.execute("select outbox.emit('t', 'k', 'happened', '')")
        writer.execute("prepare transaction 'forgotten'")
        try:
            (found,) = named(database_url)
            said = relay("status", database_url=database_url).out
        finally:
            writer.execute("rollback prepared 'forgotten'")
    assert (found["pid"], found["gid"], found["state"]) == (None, "forgotten", "prepared")
    assert found["delays_events"]
    assert "DELAYS    prepared 'forgotten' (" in said


def test_what_a_session_runs_is_never_told(at_once: None, database_url: str) -> None:
    with open_transaction(database_url) as writer:
        writer.execute("select outbox.emit('t', 'k', 'happened', 'hunter2swordfish')")
        said = relay("status", database_url=database_url).out
        told = str(status(database_url))
    assert "DELAYS" in said
    assert "hunter2swordfish" not in said + told


def test_who_has_not_touched_the_outbox_is_not_named(at_once: None, database_url: str) -> None:
    with open_transaction(database_url) as other:
        other.execute("select pg_current_xact_id()")
        assert named(database_url) == []


def test_a_transaction_of_milliseconds_is_not_named(database_url: str) -> None:
    with open_transaction(database_url) as writer:
        writer.execute("select outbox.emit('t', 'k', 'happened', '')")
        assert named(database_url) == []


def test_a_role_that_may_not_see_ages_is_told_how_many_it_cannot_see(
    at_once: None, database_url: str
) -> None:
    emit(database_url, "t")
    with users_with_roles(database_url) as urls, open_transaction(database_url) as writer:
        writer.execute("select outbox.emit('t', 'k', 'happened', '')")
        found = status(urls["outbox_monitor"])["blockers"]
        said = relay("status", database_url=urls["outbox_monitor"]).out
    assert found == {"named": [], "hidden": 1}
    assert "grant pg_read_all_stats" in said
