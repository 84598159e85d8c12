"""P6: no duplicate without a fault, and a clean stop is none."""

from __future__ import annotations

from contextlib import closing

from tests.support.history import Ledger, prove
from tests.support.kafka import Broker
from tests.support.processes import StartRelay
from tests.support.workload import Writer, writing


def test_nothing_is_published_twice_under_load(
    outbox_url: str, broker: Broker, ledger: Ledger, relay_process: StartRelay
) -> None:
    relay_process(outbox_url, broker.bootstrap_servers)
    with writing(outbox_url, ledger, writers=4):
        ledger.wait_for(150)
    prove(ledger, outbox_url, broker.bootstrap_servers, max_duplicates=0)


def test_a_relay_that_follows_another_publishes_what_is_new_only(
    outbox_url: str, broker: Broker, ledger: Ledger, relay_process: StartRelay
) -> None:
    with closing(Writer("w", outbox_url, ledger)) as writer:
        for _ in range(2):
            writer.backlog(50)
            command = outbox_url, broker.bootstrap_servers, "--until-drained"
            assert relay_process(*command).wait() == 0
    prove(ledger, outbox_url, broker.bootstrap_servers, max_duplicates=0)
