"""P8: the relay costs the writers nothing: no write for a published event, no lock that they wait
for, and none of the ways in which they commit is taken from them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import psycopg
import pytest

from relay.admin import migrate
from relay.postgres import connect
from relay.postgres.window_reader import PageReader
from tests.relay.events import connected, emit, fill, value_of
from tests.relay.leader import leading, opened
from tests.support.consume import read_topic
from tests.support.kafka import Broker
from tests.support.postgres import CrashablePostgres
from tests.support.processes import StartRelay

EVENTS = 10_000
WAL_BYTES_PER_EVENT_MAX = 10
"""A window is some hundred bytes and holds thousands; a row written again costs 700 and more."""


@pytest.fixture
def quiet_postgres(own_postgres: Callable[..., CrashablePostgres]) -> str:
    """A migrated server that writes nothing by itself: neither autovacuum nor checkpoints."""
    url = own_postgres(autovacuum="off", checkpoint_timeout="1h").url()
    migrate.upgrade(url)
    return url


def test_publishing_writes_no_row_of_an_event_and_next_to_no_wal(
    quiet_postgres: str, broker: Broker, topic: str, relay_process: StartRelay
) -> None:
    fill(quiet_postgres, EVENTS, topic=topic)
    lsn = value_of(quiet_postgres, "select pg_current_wal_insert_lsn()::text")
    relay = relay_process(quiet_postgres, broker.bootstrap_servers, "--until-drained")
    assert relay.wait() == 0
    assert len(read_topic(broker.bootstrap_servers, topic, at_least=EVENTS)) == EVENTS

    written = value_of(
        quiet_postgres, f"select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '{lsn}')::bigint"
    )
    assert written < EVENTS * WAL_BYTES_PER_EVENT_MAX
    with connected(quiet_postgres) as connection:
        inserted, updated, deleted, dead = connection.execute(
            "select sum(n_tup_ins), sum(n_tup_upd), sum(n_tup_del), sum(n_dead_tup)"
            " from pg_stat_user_tables where relid::regclass::text ~ '^outbox.event_'"
        ).fetchall()[0]
    assert (inserted, updated, deleted, dead) == (EVENTS, 0, 0, 0)


def test_the_relay_takes_no_lock_on_events_but_the_reader_s(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its transactions are kept open, so that no lock can be missed between two looks."""
    emit(database_url, "t", count=10)
    with (
        leading(database_url) as store,
        closing(PageReader(database_url)) as reader,
        connected(database_url) as observer,
    ):
        stays_open = {**connect._SESSION, "session_commit": "select"}
        monkeypatch.setattr(connect, "_SESSION", stays_open)
        window = opened(store)
        assert len(reader.read(window.cursor.window, window.pages[0])) == 10
        modes = observer.execute(
            "select distinct l.mode from pg_locks l join pg_stat_activity a using (pid)"
            " where a.application_name in ('relay cursor', 'relay pages')"
            " and a.datname = current_database()"
            " and l.relation::regclass::text ~ '^outbox.event'"
        ).fetchall()
        emit(database_url, "t")  # waits for nothing
    assert modes == [("AccessShareLock",)]


def test_writers_that_would_not_wait_at_all_are_never_refused_under_a_busy_relay(
    database_url: str, broker: Broker, topic: str, relay_process: StartRelay
) -> None:
    relay = relay_process(database_url, broker.bootstrap_servers)
    relay.wait_for_log("leading")
    with psycopg.connect(database_url) as writer:
        writer.execute("set lock_timeout = '100ms'; set deadlock_timeout = '50ms'")
        writer.commit()
        for _ in range(300):
            writer.execute("select outbox.emit(%s, 'k', 'happened', '')", (topic,))
            writer.commit()
    assert len(read_topic(broker.bootstrap_servers, topic, at_least=300)) == 300


def test_a_two_phase_writer_works_and_its_event_comes_when_it_is_committed(
    quiet_postgres: str, broker: Broker, topic: str, relay_process: StartRelay
) -> None:
    relay = relay_process(quiet_postgres, broker.bootstrap_servers)
    relay.wait_for_log("leading")
    with psycopg.connect(quiet_postgres) as writer:
        writer.tpc_begin(writer.xid(1, "two-phase", ""))
        writer.execute("select outbox.emit(%s, 'k', 'happened', 'prepared')", (topic,))
        writer.tpc_prepare()
        emit(quiet_postgres, topic, payload=b"after")
        (first,) = read_topic(broker.bootstrap_servers, topic, at_least=1)
        assert first.value == b"after"
        writer.tpc_commit()
    assert [one.value for one in read_topic(broker.bootstrap_servers, topic, at_least=2)] == [
        b"after",
        b"prepared",
    ]
