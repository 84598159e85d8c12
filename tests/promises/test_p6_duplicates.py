"""P6: no duplicate without a fault, and a clean stop is none."""

from __future__ import annotations

from tests.support.history import Ledger, prove, wait_drained
from tests.support.kafka import Broker
from tests.support.processes import StartRelay
from tests.support.workload import writing


def test_nothing_is_published_twice_under_load(
    outbox_url: str, broker: Broker, ledger: Ledger, relay_process: StartRelay
) -> None:
    relay_process(outbox_url, broker.bootstrap_servers)
    with writing(outbox_url, ledger, writers=4):
        ledger.wait_for(300)
    prove(ledger, outbox_url, broker.bootstrap_servers, max_duplicates=0)


def test_relays_that_follow_each_other_publish_each_event_once(
    outbox_url: str, broker: Broker, ledger: Ledger, relay_process: StartRelay
) -> None:
    with writing(outbox_url, ledger, writers=2):
        for _ in range(2):
            ledger.wait_for(20)
            command = outbox_url, broker.bootstrap_servers, "--until-drained"
            assert relay_process(*command).wait() == 0
    wait_drained_by(relay_process, outbox_url, broker)
    prove(ledger, outbox_url, broker.bootstrap_servers, max_duplicates=0)


def wait_drained_by(start: StartRelay, url: str, broker: Broker) -> None:
    relay = start(url, broker.bootstrap_servers)
    wait_drained(url)
    relay.terminate()
    assert relay.wait() == 0
