"""F09: the broker stops answering for a while, with every connection open."""

from __future__ import annotations

import psycopg
import pytest

from relay.demo.apache_kafka import ApacheKafka
from tests.support.history import Ledger, prove
from tests.support.processes import StartRelay
from tests.support.workload import writing

pytestmark = pytest.mark.real_broker

FROZEN_S = 3


def test_a_broker_that_was_frozen_gets_everything_once_and_in_order(
    outbox_url: str, own_kafka: ApacheKafka, relay_process: StartRelay
) -> None:
    ledger = Ledger("f09")
    own_kafka.create_topic(ledger.topic)
    relay = relay_process(outbox_url, own_kafka.bootstrap_servers)
    relay.wait_for_log("leading")
    with writing(outbox_url, ledger, writers=3), psycopg.connect(outbox_url) as connection:
        ledger.wait_for(50)
        own_kafka.suspend()
        try:
            connection.execute("select pg_sleep(%s)", [FROZEN_S])
        finally:
            own_kafka.resume()
        ledger.wait_for(50)
    prove(ledger, outbox_url, own_kafka.bootstrap_servers, max_duplicates=0)

    assert relay.exit_code is None
    assert [line["term"] for line in relay.log_lines() if line["event"] == "leading"] == [1]
