"""A password that is changed while the relay runs: it goes on with the new one, by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from relay.admin import migrate
from tests.relay.events import connected, emit, idempotency_key
from tests.support.consume import read_topic
from tests.support.kafka import Broker
from tests.support.postgres import CrashablePostgres
from tests.support.processes import StartRelay

TOPIC = "rotated"


def test_a_rotated_password_is_taken_without_a_restart(
    own_postgres: Callable[..., CrashablePostgres],
    mock_broker: Broker,
    relay_process: StartRelay,
    tmp_path: Path,
) -> None:
    server, secret = own_postgres(), tmp_path / "database_url"
    migrate.upgrade(server.url())
    mock_broker.create_topic(TOPIC)
    run_as_owner(server, "create role tenant superuser login password 'first-secret'")
    secret.write_text(url_with(server, "first-secret"))
    relay = relay_process({}, mock_broker.bootstrap_servers, RELAY_DATABASE_URL_FILE=str(secret))
    relay.wait_for_log("leading")
    before = emit(server.url(), TOPIC)

    run_as_owner(server, "alter role tenant password 'second-secret'")
    run_as_owner(
        server, "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'tenant'"
    )
    refused = relay.wait_for_log("lease_request_failed")  # the old one is asked with, and again
    secret.write_text(url_with(server, "second-secret"))
    after = emit(server.url(), TOPIC)

    records = read_topic(mock_broker.bootstrap_servers, TOPIC, at_least=2)
    assert {idempotency_key(record) for record in records} == {*before, *after}
    assert relay.exit_code is None
    assert refused
    assert "-secret" not in relay.log_text()


def run_as_owner(server: CrashablePostgres, statement: str) -> None:
    with connected(server.url()) as owner:
        owner.execute(statement.encode())


def url_with(server: CrashablePostgres, password: str) -> str:
    return f"postgresql://tenant:{password}@127.0.0.1:{server.port}/postgres"
