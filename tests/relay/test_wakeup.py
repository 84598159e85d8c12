"""RELAY_WAKEUP=listen: a relay that sleeps, and writers who wake it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from relay.core import inputs as told
from relay.core.cursor import Cursor
from relay.core.inputs import NothingAhead, Opened
from relay.core.reached import Reached
from relay.daemon.clock import monotonic_s
from relay.daemon.pump import Pump
from relay.daemon.readahead import ReadAhead
from relay.errors import BadConfiguration, Unreachable
from relay.postgres.connect import connect
from relay.postgres.cursor_store import PostgresCursorStore
from relay.postgres.wakeup import PostgresWakeup, check_wakeup, switch_wakeup
from relay.postgres.window_reader import PageReader
from tests.cli.command import relay as run_relay
from tests.relay.events import connected, emit, value_of
from tests.relay.leader import OWNER, leading
from tests.support.consume import topic_reader
from tests.support.kafka import Broker
from tests.support.processes import StartRelay
from tests.support.wait import until

PROMPT_S = 1.5
"""Far below the look that a sleeper makes all the same."""

BURSTS = 12

_ASLEEP = """select count(*) = 1 from pg_locks where locktype = 'advisory'
             and classid = 1869968482 and objid = 'outbox.event'::regclass
             and mode = 'ExclusiveLock' and granted"""
_TERM = "select term from outbox.lease"


@pytest.fixture
def woken_url(database_url: str) -> str:
    """A database whose writers wake a relay that sleeps."""
    switch_wakeup(database_url, on=True)
    return database_url


def wait_asleep(url: str) -> None:
    until(lambda: value_of(url, _ASLEEP), what="a relay that sleeps")


def burst(url: str, number: int, topic: str = "t") -> int:
    """One to three commits, one after the other; how many."""
    commits = 1 + number % 3
    for _ in range(commits):
        emit(url, topic)
    return commits


# Bursts and silences


def test_each_burst_after_a_silence_is_published_at_once(
    woken_url: str, mock_broker: Broker, relay_process: StartRelay
) -> None:
    relay = relay_process(woken_url, mock_broker.bootstrap_servers, RELAY_WAKEUP="listen")
    relay.wait_for_log("leading", wakeup="listen")
    written, topic = 0, "wakeup.bursts"
    mock_broker.create_topic(topic)
    with topic_reader(mock_broker.bootstrap_servers, topic) as reader:
        for number in range(BURSTS):
            wait_asleep(woken_url)
            written += burst(woken_url, number, topic)
            reader.read(at_least=written, timeout_s=PROMPT_S)

        assert len(reader.read()) == written


class Arrivals:
    """A sink that takes everything."""

    def __init__(self) -> None:
        self.count = 0

    def recover(self, keep_going: Callable[[], bool]) -> told.Input:
        return told.Recovered()

    def send(
        self, rows: told.Rows, number: int, reached: Reached, keep_going: Callable[[], bool]
    ) -> told.Input:
        self.count += len(rows)
        return told.Acked()

    def serve(self) -> None: ...
    def discard(self) -> None: ...


class LiesDownIntoABurst(PostgresWakeup):
    """Events are committed between the last look and the sleep lock, the worst moment there is."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._url = url
        self.bursts = 0
        self.written = 0
        self.lain_down = False

    def lie_down(self) -> bool:
        if self.bursts < BURSTS:
            self.written += burst(self._url, self.bursts)
            self.bursts += 1
        self.lain_down = super().lie_down()
        return self.lain_down


class SparesTheSecondLook(PostgresCursorStore):
    """The bug: the look before the sleep lock is taken for one after it."""

    wakeup: LiesDownIntoABurst

    def open_next(self, cursor: Cursor) -> Opened | NothingAhead:
        if self.wakeup.lain_down:
            self.wakeup.lain_down = False
            return NothingAhead()
        return super().open_next(cursor)


@contextmanager
def pumping(
    url: str, make_store: type[PostgresCursorStore]
) -> Iterator[tuple[LiesDownIntoABurst, Arrivals]]:
    """The publishing loop in a thread, on the real database."""
    stopping, sink = threading.Event(), Arrivals()
    with (
        leading(url),
        closing(connect(url, "cursor")) as connection,
        closing(PageReader(url)) as reader,
        closing(ReadAhead(reader)) as pages,
        closing(LiesDownIntoABurst(url)) as wakeup,
    ):
        store = make_store(connection, OWNER, int(value_of(url, _TERM)))
        if isinstance(store, SparesTheSecondLook):
            store.wakeup = wakeup
        pump = Pump(
            store=store,
            pages=pages,
            sink=sink,
            wakeup=wakeup,
            trusted=lambda: True,
            clock=monotonic_s,
            stopping=stopping,
            drain_limit_s=1.0,
            on_begin=lambda _: None,
            on_step=lambda *_: None,
            on_wait=lambda _: None,
        )
        thread = threading.Thread(target=pump.run)
        thread.start()
        try:
            yield wakeup, sink
        finally:
            stopping.set()
            thread.join()


def wait_published(wakeup: LiesDownIntoABurst, sink: Arrivals, bursts: int) -> None:
    until(
        lambda: wakeup.bursts >= bursts and sink.count == wakeup.written,
        timeout_s=PROMPT_S,
        what=f"burst {bursts}",
    )


def test_a_burst_that_comes_as_the_relay_lies_down_is_published_at_once(woken_url: str) -> None:
    with pumping(woken_url, PostgresCursorStore) as (wakeup, sink):
        for number in range(1, BURSTS + 1):
            wait_published(wakeup, sink, number)


def test_that_burst_is_late_where_the_look_under_the_sleep_lock_is_spared(woken_url: str) -> None:
    with (
        pumping(woken_url, SparesTheSecondLook) as (wakeup, sink),
        pytest.raises(AssertionError, match="burst 1"),
    ):
        wait_published(wakeup, sink, 1)


# What it costs writers, and whom


def test_a_transaction_that_found_a_sleeper_cannot_be_prepared(woken_url: str) -> None:
    with (
        closing(PostgresWakeup(woken_url)) as sleeper,
        closing(psycopg.connect(woken_url)) as writer,
    ):
        assert sleeper.lie_down()
        writer.tpc_begin(writer.xid(1, "two-phase", "writer"))
        writer.execute("select outbox.emit('t', 'k', 'x.y', '')")
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="NOTIFY"):
            writer.tpc_prepare()


def test_a_prepared_transaction_keeps_the_relay_awake_until_it_ends(woken_url: str) -> None:
    with (
        closing(PostgresWakeup(woken_url)) as sleeper,
        closing(psycopg.connect(woken_url)) as writer,
    ):
        writer.tpc_begin(writer.xid(1, "two-phase", "writer"))
        writer.execute("select outbox.emit('t', 'k', 'x.y', '')")
        writer.tpc_prepare()
        assert not sleeper.lie_down()
        writer.tpc_commit()

        assert sleeper.lie_down()


def test_where_it_is_switched_off_writers_take_no_lock(database_url: str) -> None:
    with connected(database_url) as writer, writer.transaction():
        writer.execute("select outbox.emit('t', 'k', 'x.y', '')")
        query = "select count(*) from pg_locks where locktype = 'advisory' and pid = %s"
        row = writer.execute(query, [writer.info.backend_pid]).fetchone()

    assert row == (0,)


@pytest.mark.parametrize(
    "write",
    [
        "select outbox.emit('t', 'k', 'x.y', '')",
        "select outbox.emit_many(array['t'], array['k'], array['x.y'], array[''::bytea])",
        "insert into outbox.event (topic, key, type, payload) values ('t', 'k', 'x.y', '')",
    ],
)
def test_every_door_to_the_outbox_wakes_the_sleeper(woken_url: str, write: str) -> None:
    with closing(PostgresWakeup(woken_url)) as sleeper, connected(woken_url) as writer:
        assert sleeper.lie_down()
        writer.execute(write.encode())

        assert sleeper.sleep(PROMPT_S, lambda: False)


# Where it cannot work


def test_a_database_whose_writers_do_not_notify_is_refused_with_the_command_that_mends_it(
    database_url: str, mock_broker: Broker, relay_process: StartRelay
) -> None:
    refused = relay_process(database_url, mock_broker.bootstrap_servers, RELAY_WAKEUP="listen")
    assert refused.wait() == BadConfiguration.exit_code
    assert "relay migrate --wakeup listen" in refused.log_text()

    assert run_relay("migrate", "--wakeup", "listen", database_url=database_url).exit_code == 0
    relay_process(database_url, mock_broker.bootstrap_servers, RELAY_WAKEUP="listen").wait_for_log(
        "leading"
    )


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that the pooler may read, which is not root; a test's own folder is closed to it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def pooled_url(woken_url: str, open_folder: Path) -> Iterator[str]:
    """The same database through PgBouncer in transaction mode."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not on this machine")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = conninfo_to_dict(woken_url)
    names = ("host", "port", "user", "password", "dbname")
    address = " ".join(f"{name}={server[name]}" for name in names if name in server)
    settings = open_folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n{server['dbname']} = {address}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        "auth_type = any\npool_mode = transaction\n"
    )
    # It refuses to be root, as PostgreSQL does.
    user = 65_534 if os.geteuid() == 0 else None
    settings.chmod(0o644)
    pooler = subprocess.Popen([program, "-q", str(settings)], user=user)
    pooled = make_conninfo(woken_url, host="127.0.0.1", port=port)
    try:
        until(lambda: answers(pooled), what="the pooler to answer")
        yield pooled
    finally:
        pooler.terminate()
        pooler.wait()


def answers(url: str) -> bool:
    try:
        connect(url, "test").close()
    except Unreachable:
        return False
    return True


def test_a_pooler_in_between_is_refused_at_the_start(
    pooled_url: str, mock_broker: Broker, relay_process: StartRelay
) -> None:
    refused = relay_process(pooled_url, mock_broker.bootstrap_servers, RELAY_WAKEUP="listen")

    assert refused.wait() == BadConfiguration.exit_code
    assert "leads through a pooler" in refused.log_text()


def test_behind_a_pooler_a_relay_polls(
    pooled_url: str, mock_broker: Broker, relay_process: StartRelay
) -> None:
    relay = relay_process(pooled_url, mock_broker.bootstrap_servers)

    relay.wait_for_log("leading", wakeup="poll")


def test_switched_off_again_it_is_refused_again(woken_url: str) -> None:
    assert run_relay("migrate", "--wakeup", "poll", database_url=woken_url).exit_code == 0
    with (
        closing(connect(woken_url, "test")) as connection,
        pytest.raises(BadConfiguration, match="migrate --wakeup listen"),
    ):
        check_wakeup(connection)


@pytest.mark.parametrize("other", [["--sql"], ["--down", "base"]])
def test_it_is_switched_at_the_newest_schema_of_a_database_only(
    database_url: str, other: list[str]
) -> None:
    said = run_relay("migrate", "--wakeup", "listen", *other, database_url=database_url)

    assert said.exit_code == 2
    assert "--wakeup asks the database" in said.err


def test_any_other_word_is_refused(database_url: str) -> None:
    said = run_relay("run", database_url=database_url, RELAY_WAKEUP="doze")

    assert said.exit_code == BadConfiguration.exit_code
    assert "RELAY_WAKEUP: Input should be 'poll' or 'listen'" in said.err


# Ends


def test_a_stop_does_not_wait_for_the_sleep_to_end(
    woken_url: str, mock_broker: Broker, relay_process: StartRelay
) -> None:
    relay = relay_process(woken_url, mock_broker.bootstrap_servers, RELAY_WAKEUP="listen")
    wait_asleep(woken_url)
    relay.terminate()

    assert relay.wait(PROMPT_S) == 0


def test_a_sleeper_that_is_killed_leaves_writers_who_need_not_notify(
    woken_url: str, mock_broker: Broker, relay_process: StartRelay
) -> None:
    relay = relay_process(woken_url, mock_broker.bootstrap_servers, RELAY_WAKEUP="listen")
    wait_asleep(woken_url)
    relay.kill()

    assert relay.exit_code == -signal.SIGKILL
    until(lambda: not value_of(woken_url, _ASLEEP), what="the sleep lock to be free")


def test_until_drained_ends_where_it_would_sleep(
    woken_url: str, mock_broker: Broker, relay_process: StartRelay
) -> None:
    mock_broker.create_topic("wakeup.drained")
    emit(woken_url, "wakeup.drained")
    relay = relay_process(
        woken_url, mock_broker.bootstrap_servers, "--until-drained", RELAY_WAKEUP="listen"
    )

    assert relay.wait() == 0
