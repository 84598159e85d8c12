"""P7: whatever failed, delivery goes on by itself once it heals. Each fault has a test of its own
among the fault tests; here is what any day brings."""

from __future__ import annotations

import psycopg

from tests.support.history import Ledger, prove, wait_drained
from tests.support.kafka import Broker
from tests.support.processes import StartRelay
from tests.support.wait import until
from tests.support.workload import writing

CUTS = 4
BACK_WITHIN_S = 10.0

_CUT = """select count(pg_terminate_backend(pid)) from pg_stat_activity
          where application_name like 'relay %' and datname = current_database()"""


def test_delivery_goes_on_by_itself_after_every_session_of_the_relay_was_ended(
    outbox_url: str, broker: Broker, ledger: Ledger, relay_process: StartRelay
) -> None:
    relay = relay_process(outbox_url, broker.bootstrap_servers)
    relay.wait_for_log("leading")
    with (
        writing(outbox_url, ledger, writers=3),
        psycopg.connect(outbox_url, autocommit=True) as administrator,
    ):
        for _ in range(CUTS):
            ledger.wait_for(40)
            until(lambda: administrator.execute(_CUT).fetchone() != (0,), what="sessions to cut")
    wait_drained(outbox_url, BACK_WITHIN_S)
    proof = prove(ledger, outbox_url, broker.bootstrap_servers, max_duplicates=None)

    assert proof.verdict.duplicates <= CUTS * proof.largest_window()
    assert relay.exit_code is None
