"""F28: the client's queue is full nearly always."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.support.history import Ledger, prove
from tests.support.kafka import Broker
from tests.support.processes import StartRelay
from tests.support.workload import Writer

EVENTS = 3_000
QUEUE_EVENTS = 10
LIMIT_S = 20.0
"""A tenth of a second for each filling of the queue, as `poll` would take it, would be 30 s."""


@pytest.mark.real_broker
def test_a_full_queue_holds_the_relay_back_and_raises_nothing(
    outbox_url: str, broker: Broker, ledger: Ledger, relay_process: StartRelay
) -> None:
    with closing(Writer("w", outbox_url, ledger)) as writer:
        writer.backlog(EVENTS)
    relay = relay_process(
        outbox_url,
        broker.bootstrap_servers,
        "--until-drained",
        RELAY_KAFKA_QUEUE_BUFFERING_MAX_MESSAGES=str(QUEUE_EVENTS),
    )
    assert relay.wait(LIMIT_S) == 0
    assert {line["level"] for line in relay.log_lines()} == {"info"}, relay.log_text()
    prove(ledger, outbox_url, broker.bootstrap_servers)
