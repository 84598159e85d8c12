"""F12, F12b: the database crashes under load and comes back, and the relay goes on by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest

from relay.admin import migrate
from relay.core.checker import Outcome
from tests.support.history import Ledger, ids_in_database, prove, wait_drained
from tests.support.kafka import Broker
from tests.support.postgres import CrashablePostgres
from tests.support.processes import StartRelay
from tests.support.wait import until
from tests.support.workload import Shape, Writer, prepare_keys, writing

CRASHES = 4
BACK_WITHIN_S = 10.0
BURNED = 400

# What was not asked to be flushed stays unflushed: nobody else does it in the background.
NOTHING_IS_FLUSHED_UNASKED = {
    "wal_writer_delay": "10s",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
}


@pytest.fixture
def server(own_postgres: Callable[..., CrashablePostgres]) -> CrashablePostgres:
    server = own_postgres(**NOTHING_IS_FLUSHED_UNASKED)
    migrate.upgrade(server.url())
    prepare_keys(server.url())
    return server


def test_what_a_crash_took_back_is_never_published_and_the_rest_always_is(
    server: CrashablePostgres, broker: Broker, ledger: Ledger, relay_process: StartRelay
) -> None:
    url = server.url()
    relay = relay_process(url, broker.bootstrap_servers)
    relay.wait_for_log("leading")
    with (
        writing(url, ledger, writers=2),
        writing(url, ledger, writers=5, durable=False, seed=2),
    ):
        for _ in range(CRASHES):
            ledger.wait_for(150)
            _burn_transaction_ids(url)
            server.stop_immediate()
            server.start()
            ledger.wait_for(50)
    wait_drained(url, BACK_WITHIN_S)
    proof = prove(ledger, url, broker.bootstrap_servers, max_duplicates=None)

    assert proof.verdict.duplicates <= CRASHES * proof.largest_window()
    assert relay.exit_code is None


def test_commits_that_were_never_flushed_are_not_published_once_they_are_lost(
    server: CrashablePostgres, broker: Broker, ledger: Ledger, relay_process: StartRelay
) -> None:
    url = server.url()
    relay = relay_process(url, broker.bootstrap_servers)
    relay.wait_for_log("leading")
    with closing(Writer("async", url, ledger, durable=False)) as writer:
        writer.transaction(Shape())
        wait_drained(url)
        # Asleep, it flushes nothing, and must not act on what it saw before.
        relay.suspend()
        for _ in range(20):
            writer.transaction(Shape())
        server.stop_immediate()
        server.start()
        relay.resume()
        assert writer.reconnect()
        writer.transaction(Shape())
    prove(ledger, url, broker.bootstrap_servers)

    known = ids_in_database(url)
    lost = [one for one in ledger.written if one.event_id not in known]
    assert any(one.outcome is Outcome.UNKNOWN for one in lost), "the crash took nothing back"


def test_events_under_transaction_ids_that_are_given_out_again_are_all_published(
    server: CrashablePostgres, broker: Broker, ledger: Ledger, relay_process: StartRelay
) -> None:
    url = server.url()
    relay = relay_process(url, broker.bootstrap_servers)
    with closing(Writer("w", url, ledger)) as writer:
        writer.transaction(Shape())
        wait_drained(url)
        burned = _burn_transaction_ids(url)
        _wait_for_a_look(url)
        server.stop_immediate()
        server.start()
        assert writer.reconnect()
        for _ in range(50):
            writer.transaction(Shape())
    prove(ledger, url, broker.bootstrap_servers, max_duplicates=0)

    with _autocommit(url) as connection:
        again = connection.execute(
            "select count(*) from outbox.event where txid > %s::text::xid8", [str(burned)]
        ).fetchone()
    assert again == (0,), "not all events had ids that were given out before the crash"
    assert relay.exit_code is None


def _burn_transaction_ids(url: str) -> int:
    """Draw ids and roll back, so that nothing of them needs to be on disk. The highest."""
    highest = 0
    with _autocommit(url) as connection:
        for _ in range(BURNED):
            connection.execute("begin")
            row = connection.execute("select pg_current_xact_id()::text::bigint").fetchone()
            connection.execute("rollback")
            assert row is not None
            highest = int(str(row[0]))
    return highest


def _wait_for_a_look(url: str) -> None:
    """Wait until the relay has taken a snapshot that began after now."""
    with _autocommit(url) as connection:
        now = connection.execute("select clock_timestamp()").fetchone()
        assert now is not None

        def looked() -> bool:
            looks = connection.execute(
                "select count(*) from pg_stat_activity"
                " where application_name = 'relay cursor' and query_start > %s and state = 'idle'",
                [now[0]],
            ).fetchone()
            return looks == (1,)

        until(looked, what="the relay to look")


@contextmanager
def _autocommit(url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
