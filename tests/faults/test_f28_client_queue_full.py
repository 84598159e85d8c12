"""F28: the client's queue is full nearly always."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.support.history import Ledger, prove
from tests.support.kafka import Broker
from tests.support.processes import StartRelay
from tests.support.workload import Writer

EVENTS = 1_500
QUEUE_EVENTS = 10
"""If each filling of the queue took a tenth of a second, as it would with `poll`, the page would
take 15 s, and be complained of in the log."""


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
    assert relay.wait() == 0
    assert {line["level"] for line in relay.log_lines()} == {"info"}, relay.log_text()
    prove(ledger, outbox_url, broker.bootstrap_servers)
