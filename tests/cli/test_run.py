"""`relay run`: waits for what is away, and ends when it was asked to."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import psycopg

from relay.admin import migrate
from relay.demo.embedded_postgres import free_port
from tests.cli.command import status
from tests.relay.events import connected, emit
from tests.relay.leader import leading
from tests.support.consume import read_topic
from tests.support.kafka import Broker
from tests.support.postgres import CrashablePostgres
from tests.support.processes import LogLine, RelayProcess, StartRelay
from tests.support.proxy import TcpProxy
from tests.support.wait import until


def lines_of(relay: RelayProcess, event: str) -> list[LogLine]:
    return [line for line in relay.log_lines() if line["event"] == event]


def wait_for_lines(relay: RelayProcess, event: str, count: int) -> list[LogLine]:
    def enough() -> list[LogLine]:
        found = lines_of(relay, event)
        return found if len(found) >= count else []

    return until(enough, what=f"{count} lines {event!r}")


def test_a_database_that_is_away_at_the_start_is_asked_again_less_and_less_often(
    own_postgres: Callable[..., CrashablePostgres], mock_broker: Broker, relay_process: StartRelay
) -> None:
    server = own_postgres()
    migrate.upgrade(server.url())
    server.stop()
    relay = relay_process(server.url(), mock_broker.bootstrap_servers)
    lines = wait_for_lines(relay, "unreachable", 4)
    rests = [line["retry_in_s"] for line in lines]
    assert all(later >= 1.5 * earlier for earlier, later in pairwise(rests)), rests
    said = relay.log_text().splitlines()
    assert len(said) == len(relay.log_lines()), "more than one line an attempt"
    assert server.url().split(":")[2].split("@")[0] not in relay.log_text(), "the password"

    server.start()
    relay.wait_for_log("leading")


def test_a_database_that_does_not_exist_yet_is_waited_for_without_a_traceback(
    database_url: str, mock_broker: Broker, relay_process: StartRelay
) -> None:
    missing = psycopg.conninfo.make_conninfo(database_url, dbname="outbox_test_not_made")
    relay = relay_process(missing, mock_broker.bootstrap_servers)
    line = relay.wait_for_log("unreachable")
    assert 'database "outbox_test_not_made" does not exist' in line["reason"]
    relay.terminate()
    assert relay.wait() == 0
    assert "Traceback" not in relay.log_text()


def test_a_broker_that_is_away_at_the_start_is_waited_for_and_the_events_flow_when_it_comes(
    database_url: str,
    broker: Broker,
    topic: str,
    relay_process: StartRelay,
    tcp_proxy: Callable[[str, int], TcpProxy],
) -> None:
    emit(database_url, topic, count=3)
    proxy = tcp_proxy("127.0.0.1", free_port())
    relay = relay_process(
        database_url, f"127.0.0.1:{proxy.port}", RELAY_KAFKA_RECONNECT_BACKOFF_MAX_MS="300"
    )
    wait_for_lines(relay, "broker_trouble", 3)
    assert status(database_url)["pending"] == 3
    assert len(relay.log_text().splitlines()) == len(relay.log_lines()), "a traceback, or two lines"

    host, port = broker.bootstrap_servers.split(",")[0].rsplit(":", 1)
    proxy._server = (host, int(port))
    until(lambda: status(database_url)["pending"] == 0, every_s=0.1, what="nothing pending")
    assert len(read_topic(broker.bootstrap_servers, topic, at_least=3)) == 3


def test_until_drained_publishes_what_is_committed_and_ends_with_0(
    database_url: str, broker: Broker, topic: str, relay_process: StartRelay
) -> None:
    emit(database_url, topic, count=20)
    with psycopg.connect(database_url) as open_transaction:
        open_transaction.execute("select outbox.emit(%s, 'k', 'happened', '')", (topic,))
        relay = relay_process(database_url, broker.bootstrap_servers, "--until-drained")
        assert relay.wait() == 0
    assert [line["event"] for line in relay.log_lines()][-2:] == ["drained", "stopped"]
    assert len(read_topic(broker.bootstrap_servers, topic, at_least=20)) == 20
    found = status(database_url)
    assert (found["pending"], found["leader"]) == (1, None)


def test_until_drained_ends_with_0_where_nothing_is_pending(
    database_url: str, mock_broker: Broker, relay_process: StartRelay
) -> None:
    relay = relay_process(database_url, mock_broker.bootstrap_servers, "--until-drained")
    assert relay.wait() == 0


def test_until_drained_as_a_standby_waits_for_the_leader_to_publish(
    database_url: str, broker: Broker, topic: str, relay_process: StartRelay
) -> None:
    leader = relay_process(database_url, broker.bootstrap_servers)
    leader.wait_for_log("leading")
    emit(database_url, topic, count=20)
    standby = relay_process(database_url, broker.bootstrap_servers, "--until-drained")
    assert standby.wait() == 0
    assert lines_of(standby, "leading") == []
    assert len(read_topic(broker.bootstrap_servers, topic, at_least=20)) == 20
    assert leader.exit_code is None


def test_until_drained_takes_over_from_a_leader_that_died_rather_than_end_early(
    database_url: str, broker: Broker, topic: str, relay_process: StartRelay
) -> None:
    emit(database_url, topic, count=20)
    with leading(database_url):  # and never renewed, as after a crash
        standby = relay_process(database_url, broker.bootstrap_servers, "--until-drained")
        standby.wait_for_log("standby")
        assert standby.exit_code is None
    with connected(database_url) as connection:
        connection.execute("update outbox.lease set expires_at = clock_timestamp()")
    assert standby.wait() == 0
    assert len(lines_of(standby, "leading")) == 1
    assert len(read_topic(broker.bootstrap_servers, topic, at_least=20)) == 20


def test_drained_but_for_a_missing_topic_is_not_done_and_says_so(
    database_url: str, mock_broker: Broker, topic: str, relay_process: StartRelay
) -> None:
    mock_broker.create_topic(topic)
    emit(database_url, topic)
    emit(database_url, "no.such.topic")
    relay = relay_process(database_url, mock_broker.bootstrap_servers, "--until-drained")
    assert relay.wait() == 1
    assert "topics which do not exist: no.such.topic" in relay.log_text()
    assert not lines_of(relay, "drained")
    assert len(read_topic(mock_broker.bootstrap_servers, topic)) == 1
