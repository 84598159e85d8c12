"""F08: the broker is killed under load and comes back with its address and its data."""

from __future__ import annotations

import pytest

from relay.demo.apache_kafka import ApacheKafka
from tests.support.history import Ledger, prove
from tests.support.processes import StartRelay
from tests.support.workload import writing

pytestmark = pytest.mark.real_broker


def test_a_broker_that_crashed_gets_everything_in_order_once_it_is_back(
    outbox_url: str, own_kafka: ApacheKafka, relay_process: StartRelay
) -> None:
    ledger = Ledger("f08")
    own_kafka.create_topic(ledger.topic)
    relay = relay_process(outbox_url, own_kafka.bootstrap_servers)
    relay.wait_for_log("leading")
    with writing(outbox_url, ledger, writers=3):
        ledger.wait_for(100)
        own_kafka.kill()
        ledger.wait_for(100)
        own_kafka.start()
        ledger.wait_for(100)
    proof = prove(ledger, outbox_url, own_kafka.bootstrap_servers, max_duplicates=None)

    # An idempotent producer repeats nothing by itself; one that was thrown away repeats its page.
    doubts = sum(line.get("event") == "delivery_in_doubt" for line in relay.log_lines())
    assert proof.verdict.duplicates <= doubts * proof.largest_window()
    assert relay.exit_code is None
