"""Probes of real relays: alive whatever is away, ready while it is delivered or need not be."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack, closing
from time import monotonic

from relay.admin import migrate
from relay.core.vitals import STALLED_AFTER_S
from relay.demo.embedded_postgres import free_port
from relay.observe.http import SERVED_AT_ONCE_MAX
from tests.relay.events import emit
from tests.relay.fleet import several
from tests.support.kafka import Broker
from tests.support.postgres import CrashablePostgres, Postgres
from tests.support.processes import RelayProcess, StartRelay
from tests.support.scrape import ANYWHERE, ask, port_of, scraped
from tests.support.wait import until

RED_WITHIN_S = STALLED_AFTER_S + 15


def wait_ready(relay: RelayProcess) -> None:
    until(lambda: ask(relay, "/readyz").status == 200, what="readiness")


def turned_red_after(relay: RelayProcess, since: float) -> tuple[float, str]:
    """Seconds until it was not ready, and what it said; alive all the while."""

    def red() -> str:
        assert ask(relay, "/livez").status == 200
        answer = ask(relay, "/readyz")
        return answer.text if answer.status == 503 else ""

    said = until(red, timeout_s=RED_WITHIN_S, every_s=0.2, what="an unready relay")
    return monotonic() - since, said


def test_leader_and_standby_are_ready_and_say_what_they_do(
    database_url: str, mock_broker: Broker, relay_process: StartRelay
) -> None:
    servers = mock_broker.bootstrap_servers
    leader = relay_process(database_url, servers, RELAY_HTTP=ANYWHERE)
    leader.wait_for_log("leading")
    standby = relay_process(database_url, servers, RELAY_HTTP=ANYWHERE)
    standby.wait_for_log("standby")
    for relay, does in ((leader, "leading, term 1"), (standby, "standby")):
        wait_ready(relay)
        assert ask(relay, "/readyz").text == f"ready\n{does}\n"
        assert ask(relay, "/livez").text == f"alive\n{does}\n"


def test_without_a_database_at_the_start_it_is_alive_and_not_ready(
    mock_broker: Broker, relay_process: StartRelay
) -> None:
    nowhere = f"postgresql://relay:hunter2@127.0.0.1:{free_port()}/none"
    relay = relay_process(nowhere, mock_broker.bootstrap_servers, RELAY_HTTP=ANYWHERE)
    until(lambda: "refused" in ask(relay, "/readyz").text, what="a reason")
    answer = ask(relay, "/readyz")
    assert answer.status == 503
    assert "hunter2" not in answer.text
    assert ask(relay, "/livez").status == 200


def test_a_killed_database_turns_it_red_only_after_the_stated_time_and_restarts_nothing(
    own_postgres: Callable[..., CrashablePostgres], mock_broker: Broker, relay_process: StartRelay
) -> None:
    server = own_postgres()
    migrate.upgrade(server.url())
    relay = relay_process(server.url(), mock_broker.bootstrap_servers, RELAY_HTTP=ANYWHERE)
    wait_ready(relay)
    killed_at = monotonic()
    server.stop_immediate()
    until(lambda: not scraped(relay)["outbox_database_up", "outbox="], what="a gauge of it")
    after_s, said = turned_red_after(relay, killed_at)
    assert after_s > STALLED_AFTER_S - 3
    assert "no delivery for" in said
    assert "database" in said

    server.start()
    wait_ready(relay)
    assert scraped(relay)["outbox_database_up", "outbox="] == 1


def test_blocked_delivery_turns_it_red_with_the_reason_while_no_event_is_lost(
    database_url: str, relay_process: StartRelay
) -> None:
    broker = f"127.0.0.1:{free_port()}"
    relay = relay_process(database_url, broker, RELAY_HTTP=ANYWHERE)
    wait_ready(relay)
    emit(database_url, "anything")
    after_s, said = turned_red_after(relay, monotonic())
    assert after_s > STALLED_AFTER_S - 3
    assert "no delivery for" in said
    found = scraped(relay)
    assert found["outbox_broker_up", "outbox="] == 0
    assert "No broker answers; 1 event waits" in ask(relay, "/status.json").text
    assert found["outbox_pending_events", "outbox="] == 1
    assert found["outbox_oldest_pending_timestamp_seconds", "outbox="] > 0
    assert found["outbox_published_events_total", "outbox="] == 0


def test_one_outbox_that_is_away_is_told_by_its_name(
    postgres: Postgres, migrated_template: str, mock_broker: Broker, relay_process: StartRelay
) -> None:
    with several(postgres, migrated_template, ("orders",)) as urls:
        both = {**urls, "away": f"postgresql://127.0.0.1:{free_port()}/none"}
        relay = relay_process(both, mock_broker.bootstrap_servers, RELAY_HTTP=ANYWHERE)
        until(lambda: "orders: leading" in ask(relay, "/readyz").text, what="the other's lease")
        answer = ask(relay, "/readyz")
        assert (answer.status, ask(relay, "/livez").status) == (503, 200)
        assert "away: not ready yet: database: " in answer.text
        relay.terminate()
        relay.wait()


def test_hung_scrapes_never_stop_delivery(
    database_url: str, mock_broker: Broker, relay_process: StartRelay
) -> None:
    mock_broker.create_topic("flows")
    relay = relay_process(database_url, mock_broker.bootstrap_servers, RELAY_HTTP=ANYWHERE)
    wait_ready(relay)
    address = ("127.0.0.1", port_of(relay))
    with ExitStack() as stack:
        for number in range(SERVED_AT_ONCE_MAX * 2):
            hung = stack.enter_context(closing(socket.create_connection(address, timeout=5)))
            if number % 2:
                hung.sendall(b"GET /metrics HTTP/1.1\r\nHost: never-read\r\n\r\n")
        emit(database_url, "flows", count=100)
        out = ("outbox_published_events_total", "outbox=")
        until(lambda: scraped(relay)[out] == 100, timeout_s=5, what="100 events in spite of them")
