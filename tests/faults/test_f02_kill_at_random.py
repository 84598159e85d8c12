"""F02: kill -9 of the relay again and again under load, wherever it happens to be."""

from __future__ import annotations

from random import Random

from tests.support.history import Ledger, end_lease, events_in_flight, prove
from tests.support.kafka import Broker
from tests.support.processes import RelayProcess, StartRelay
from tests.support.workload import writing

KILLS = 20


def test_twenty_kills_under_load_lose_nothing_and_repeat_what_was_in_flight_at_most(
    outbox_url: str, broker: Broker, ledger: Ledger, relay_process: StartRelay
) -> None:
    dice = Random(20)
    repeated = 0

    def start() -> RelayProcess:
        return relay_process(outbox_url, broker.bootstrap_servers)

    leader = start()
    with writing(outbox_url, ledger, writers=6):
        for _ in range(KILLS):
            leader.wait_for_log("leading")
            standby = start()
            ledger.wait_for(dice.randint(5, 60))
            leader.kill()
            repeated += events_in_flight(outbox_url)
            end_lease(outbox_url)
            leader = standby
        leader.wait_for_log("leading")
    proof = prove(ledger, outbox_url, broker.bootstrap_servers, max_duplicates=repeated)
    assert all(len(places) == 1 for places in proof.places().values())
