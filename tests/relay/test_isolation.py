"""What befalls one outbox of a process does not reach the others."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import closing
from time import monotonic
from uuid import uuid4

import psycopg
import pytest

from relay.admin import migrate
from relay.postgres.connect import connect
from relay.postgres.cursor_store import read_cursor
from tests.relay.events import emit
from tests.relay.fleet import led_by
from tests.support.kafka import Broker
from tests.support.postgres import CrashablePostgres
from tests.support.processes import RelayProcess, StartRelay
from tests.support.wait import until

SLOWEST_S = 1.0
"""Of events that come one by one: a lease or a connection that was shared would cost seconds."""

EVENTS = 20


@pytest.fixture
def topic(mock_broker: Broker) -> str:
    name = f"isolated.{uuid4().hex[:12]}"
    mock_broker.create_topic(name)
    return name


@pytest.fixture
def broken(
    own_postgres: Callable[..., CrashablePostgres],
) -> CrashablePostgres:
    """A server of its own with an outbox."""
    server = own_postgres()
    migrate.upgrade(server.url())
    return server


def started(
    databases: dict[str, str], broker: Broker, relay_process: StartRelay, leading: str
) -> RelayProcess:
    relay = relay_process(databases, broker.bootstrap_servers)
    relay.wait_for_log("leading", outbox=leading)
    return relay


def latencies_s(url: str, topic: str) -> list[float]:
    """Seconds from the commit of an event until the cursor has passed it, one after the other."""
    found = []
    with closing(connect(url, "test")) as connection:
        for _ in range(EVENTS):
            before = read_cursor(connection).number
            emit(url, topic, count=1)
            begun_s = monotonic()
            until(
                lambda before=before: (c := read_cursor(connection)).number > before and c.closed,  # type: ignore[misc]  # bound now
                every_s=0.002,
                what="the event to be published",
            )
            found.append(monotonic() - begun_s)
    return found


def test_a_database_that_stops_does_not_slow_the_others_and_goes_on_when_it_is_back(
    database_url: str,
    broken: CrashablePostgres,
    mock_broker: Broker,
    topic: str,
    relay_process: StartRelay,
) -> None:
    databases = {"well": database_url, "broken": broken.url()}
    relay = started(databases, mock_broker, relay_process, "broken")
    relay.wait_for_log("leading", outbox="well")
    broken.stop_immediate()
    relay.wait_for_log("unreachable", outbox="broken")

    assert max(latencies_s(database_url, topic)) < SLOWEST_S
    broken.start()
    until(lambda: "broken" in led_by(databases), what="the broken one to be led again")


def test_a_lease_that_is_blocked_does_not_slow_the_others(
    database_url: str,
    broken: CrashablePostgres,
    mock_broker: Broker,
    topic: str,
    relay_process: StartRelay,
) -> None:
    databases = {"well": database_url, "blocked": broken.url()}
    relay = started(databases, mock_broker, relay_process, "well")
    relay.wait_for_log("leading", outbox="blocked")
    with psycopg.connect(broken.url()) as blocker:
        blocker.execute("lock table outbox.lease, outbox.window in access exclusive mode")
        relay.wait_for_log("stepped_down", outbox="blocked")

        assert max(latencies_s(database_url, topic)) < SLOWEST_S
    until(lambda: "blocked" in led_by(databases), what="the blocked one to be led again")


def test_a_schema_that_is_too_old_is_told_and_the_outbox_served_once_it_is_migrated(
    database_url: str,
    broken: CrashablePostgres,
    mock_broker: Broker,
    topic: str,
    relay_process: StartRelay,
) -> None:
    migrate.downgrade(broken.url(), "0012_expand_milestones")
    databases = {"well": database_url, "old": broken.url()}
    relay = started(databases, mock_broker, relay_process, "well")
    line = relay.wait_for_log("outbox_failed", outbox="old")
    assert "run `relay migrate`" in line["reason"]

    assert statistics.median(latencies_s(database_url, topic)) < SLOWEST_S
    migrate.upgrade(broken.url())
    relay.wait_for_log("leading", outbox="old", timeout=70.0)


def test_a_stop_while_an_outbox_fails_ends_with_its_exit_code(
    database_url: str,
    empty_database_url: str,
    mock_broker: Broker,
    relay_process: StartRelay,
) -> None:
    databases = {"well": database_url, "empty": empty_database_url}
    relay = started(databases, mock_broker, relay_process, "well")
    relay.wait_for_log("outbox_failed", outbox="empty")
    relay.terminate()

    assert relay.wait() == 78
    assert "the schema outbox is missing" in relay.log_text().splitlines()[-1]


def test_until_drained_does_not_wait_for_an_outbox_that_needs_a_person(
    database_url: str,
    empty_database_url: str,
    mock_broker: Broker,
    relay_process: StartRelay,
) -> None:
    databases = {"well": database_url, "empty": empty_database_url}
    relay = relay_process(databases, mock_broker.bootstrap_servers, "--until-drained")

    assert relay.wait() == 78
    relay.wait_for_log("drained", outbox="well")
    relay.wait_for_log("outbox_failed", outbox="empty")
