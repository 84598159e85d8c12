"""F20: the log names who keeps events waiting, and who keeps a leaf from being emptied."""

from __future__ import annotations

from contextlib import closing

import psycopg
from psycopg.conninfo import make_conninfo

from tests.relay.events import connected, emit
from tests.support.history import Ledger, wait_drained
from tests.support.kafka import Broker
from tests.support.postgres import CrashablePostgres
from tests.support.processes import StartRelay
from tests.support.workload import KEYS, Writer


def test_the_writer_that_stays_open_and_the_report_that_does_are_told_apart(
    two_phase_postgres: CrashablePostgres,
    broker: Broker,
    ledger: Ledger,
    relay_process: StartRelay,
) -> None:
    """After ten seconds, and without a word of what they run."""
    url = two_phase_postgres.url()
    relay = relay_process(url, broker.bootstrap_servers, RELAY_RETENTION="0s")
    with (
        closing(Writer("holder", url, ledger)) as holder,
        psycopg.connect(make_conninfo(url, application_name="report")) as report,
        connected(url) as observer,
    ):
        emit(url, ledger.topic)
        report.execute("select count(*) from outbox.event where topic = 'hunter2swordfish'")
        observer.execute("select setval('outbox.event_position', 4 << 20)")
        holder.begin()
        holder.emit(KEYS[0])

        delayed = relay.wait_for_log("events_delayed")
        blocked = relay.wait_for_log("rotation_blocked", application_name="report")
        assert delayed["application_name"] == "holder"
        assert delayed["state"] == "idle in transaction"
        assert min(delayed["age_s"], blocked["age_s"]) >= 10
        assert blocked["pid"] == report.info.backend_pid
        wait_drained(url)
    assert "hunter2swordfish" not in relay.log_text()
