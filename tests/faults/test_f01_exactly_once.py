"""F01 in Kafka transactions: kill -9 at every step of the relay; whoever reads what is committed
sees each event once."""

from __future__ import annotations

import signal

import pytest

from tests.faults.failpoint_names import OF_TRANSACTIONS
from tests.faults.test_f01_kill_at_failpoints import REPEATS
from tests.support.history import PAGE_POSITIONS, Ledger, end_lease, prove
from tests.support.kafka import Broker
from tests.support.processes import StartRelay
from tests.support.workload import Writer

pytestmark = pytest.mark.real_broker

BEFORE_THE_BOUNDARY = 100
BACKLOG = 300


@pytest.mark.parametrize("failpoint", [*REPEATS, *OF_TRANSACTIONS])
def test_a_kill_repeats_nothing_and_loses_nothing(
    failpoint: str, outbox_url: str, broker: Broker, ledger: Ledger, relay_process: StartRelay
) -> None:
    writer = Writer("backlog", outbox_url, ledger)
    writer.run("select setval('outbox.event_position', %s)", PAGE_POSITIONS - BEFORE_THE_BOUNDARY)
    writer.backlog(BACKLOG)
    writer.close()
    mode = {"RELAY_DELIVERY": "exactly-once"}

    servers = broker.bootstrap_servers
    doomed = relay_process(outbox_url, servers, RELAY_FAILPOINT=failpoint, **mode)
    assert doomed.wait() == -signal.SIGKILL
    end_lease(outbox_url)
    successor = relay_process(outbox_url, servers, "--until-drained", **mode)
    assert successor.wait() == 0

    proof = prove(ledger, outbox_url, servers, isolation="read_committed")
    assert len(proof.records) == BACKLOG
