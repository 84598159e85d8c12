"""F02 in Kafka transactions: kill -9 of the relay again and again under load, wherever it happens
to be. `--kills 100` goes on for longer."""

from __future__ import annotations

from random import Random

import pytest

from tests.support.history import Ledger, end_lease, prove
from tests.support.kafka import Broker
from tests.support.processes import RelayProcess, StartRelay
from tests.support.workload import writing

pytestmark = [pytest.mark.real_broker, pytest.mark.timeout(1_800)]


def test_kills_under_load_repeat_nothing_and_lose_nothing(
    outbox_url: str, broker: Broker, ledger: Ledger, relay_process: StartRelay, kills: int
) -> None:
    dice = Random(kills)

    def start() -> RelayProcess:
        servers = broker.bootstrap_servers
        return relay_process(outbox_url, servers, RELAY_DELIVERY="exactly-once")

    leader = start()
    with writing(outbox_url, ledger, writers=6):
        for _ in range(kills):
            leader.wait_for_log("leading")
            standby = start()
            ledger.wait_for(dice.randint(5, 200))
            leader.kill()
            end_lease(outbox_url)
            leader = standby
        leader.wait_for_log("leading")
    proof = prove(ledger, outbox_url, broker.bootstrap_servers, isolation="read_committed")
    assert all(len(places) == 1 for places in proof.places().values())
