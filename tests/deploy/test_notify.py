"""What systemd hears of a real relay, over a real notify socket."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from time import monotonic
from uuid import uuid4

import pytest

from relay.admin import migrate
from relay.daemon.shutdown import HARD_LIMIT_S
from relay.demo.embedded_postgres import free_port
from tests.relay.events import emit, value_of
from tests.support.kafka import Broker
from tests.support.notify_socket import NotifySocket, listening
from tests.support.postgres import CrashablePostgres
from tests.support.processes import StartRelay
from tests.support.wait import until


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[NotifySocket]:
    with listening(str(tmp_path / "notify")) as manager:
        yield manager


def told(manager: NotifySocket, watchdog_s: float | None = None) -> dict[str, str]:
    """The environment of a service of this manager."""
    watchdog = {} if watchdog_s is None else {"WATCHDOG_USEC": str(round(watchdog_s * 1_000_000))}
    return {"NOTIFY_SOCKET": manager.address, **watchdog}


def test_it_is_ready_once_it_leads_and_says_so_and_when_it_stops(
    database_url: str, mock_broker: Broker, relay_process: StartRelay, manager: NotifySocket
) -> None:
    relay = relay_process(database_url, mock_broker.bootstrap_servers, **told(manager))
    manager.wait_for("STATUS", "leading, term 1")
    manager.wait_for("READY", "1")
    assert manager.said("STATUS")[0] == "waiting for the database"
    assert manager.said("STOPPING") == manager.said("WATCHDOG") == []

    relay.terminate()
    assert relay.wait() == 0
    assert manager.said("STOPPING") == ["1"]
    assert manager.said("READY") == ["1"]


def test_a_standby_is_ready(
    database_url: str, mock_broker: Broker, relay_process: StartRelay, manager: NotifySocket
) -> None:
    relay_process(database_url, mock_broker.bootstrap_servers).wait_for_log("leading")
    relay_process(database_url, mock_broker.bootstrap_servers, **told(manager))
    manager.wait_for("READY", "1")
    assert manager.said("STATUS") == ["waiting for the database", "standby"]


def test_a_socket_with_an_abstract_name_hears_it_too(
    database_url: str, mock_broker: Broker, relay_process: StartRelay
) -> None:
    with listening(f"@outbox-relay-{uuid4().hex}") as manager:
        relay_process(database_url, mock_broker.bootstrap_servers, **told(manager))
        manager.wait_for("READY", "1")


def test_a_database_that_is_away_at_the_start_extends_the_time_to_start(
    own_postgres: Callable[..., CrashablePostgres],
    mock_broker: Broker,
    relay_process: StartRelay,
    manager: NotifySocket,
) -> None:
    server = own_postgres()
    migrate.upgrade(server.url())
    server.stop()
    relay_process(server.url(), mock_broker.bootstrap_servers, **told(manager, 1.5))
    manager.wait_for("EXTEND_TIMEOUT_USEC", "1500000", more_than=1)
    assert manager.said("READY") == []

    server.start()
    manager.wait_for("READY", "1")


def test_a_stop_is_given_the_time_that_it_may_take_without_a_broker(
    database_url: str, relay_process: StartRelay, manager: NotifySocket
) -> None:
    relay = relay_process(database_url, f"127.0.0.1:{free_port()}", **told(manager))
    manager.wait_for("STATUS", "leading, term 1")
    emit(database_url, "anything")
    relay.terminate()
    manager.wait_for("STOPPING", "1")
    assert int(manager.said("EXTEND_TIMEOUT_USEC")[-1]) > HARD_LIMIT_S * 1_000_000
    assert manager.said("STATUS")[-1].startswith("stopping")


def test_the_watchdog_is_fed_while_nothing_happens_and_while_the_database_is_away(
    own_postgres: Callable[..., CrashablePostgres],
    mock_broker: Broker,
    relay_process: StartRelay,
    manager: NotifySocket,
) -> None:
    server, watchdog_s = own_postgres(), 9.0
    migrate.upgrade(server.url())
    relay = relay_process(server.url(), mock_broker.bootstrap_servers, **told(manager, watchdog_s))
    manager.wait_for("STATUS", "leading, term 1")
    manager.wait_for("WATCHDOG", "1")

    server.stop()
    manager.wait_for("STATUS", "waiting for the database", more_than=1)
    fed = len(manager.said("WATCHDOG"))
    manager.wait_for("WATCHDOG", "1", more_than=fed + 3)
    assert all(
        later - earlier < watchdog_s for earlier, later in pairwise(manager.times("WATCHDOG"))
    )
    assert relay.exit_code is None


def test_the_watchdog_is_not_fed_while_the_loop_hangs(
    own_postgres: Callable[..., CrashablePostgres],
    mock_broker: Broker,
    relay_process: StartRelay,
    manager: NotifySocket,
) -> None:
    """The session that it looks with is frozen: no answer, and the connection stands."""
    server, watchdog_s = own_postgres(), 1.5
    migrate.upgrade(server.url())
    relay = relay_process(server.url(), mock_broker.bootstrap_servers, **told(manager, watchdog_s))
    manager.wait_for("STATUS", "leading, term 1")
    manager.wait_for("WATCHDOG", "1")
    session = "select pid from pg_stat_activity where application_name = 'relay cursor'"
    frozen = value_of(server.url(), session)
    os.kill(frozen, signal.SIGSTOP)
    try:
        until(lambda: monotonic() - manager.times("WATCHDOG")[-1] > watchdog_s, what="silence")
    finally:
        os.kill(frozen, signal.SIGCONT)
    manager.wait_for("WATCHDOG", "1", more_than=len(manager.said("WATCHDOG")))
    assert relay.exit_code is None
