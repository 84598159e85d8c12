"""F21: commit order unlike id order, and nothing is missed, made up, or out of order."""

from __future__ import annotations

from itertools import pairwise

import psycopg

from relay.core.checker import Outcome
from tests.support.history import Ledger, Proof, prove
from tests.support.kafka import Broker
from tests.support.postgres import CrashablePostgres
from tests.support.processes import StartRelay
from tests.support.workload import AWKWARD, writing

WRITERS = 16
TRANSACTIONS = 800

# Events of a key that stand behind an event of a later transaction id.
_KEYS_AGAINST_IDS = """
select count(*) from (select txid, lag(txid) over (partition by key order by position) as before
                      from outbox.event where key is not null) e
where txid < before
"""


def test_sixteen_awkward_writers_lose_nothing_and_keep_the_order_of_their_keys(
    two_phase_postgres: CrashablePostgres,
    broker: Broker,
    ledger: Ledger,
    relay_process: StartRelay,
) -> None:
    url = two_phase_postgres.url()
    relay = relay_process(url, broker.bootstrap_servers)
    relay.wait_for_log("leading")
    with writing(url, ledger, writers=WRITERS, shapes=AWKWARD):
        ledger.wait_for(TRANSACTIONS)
    proof = prove(ledger, url, broker.bootstrap_servers, max_duplicates=0)
    assert relay.exit_code is None
    _require_awkwardness(proof, ledger, url)


def _require_awkwardness(proof: Proof, ledger: Ledger, url: str) -> None:
    """The load was what it says: without this, calm writers would pass for the above."""
    with psycopg.connect(url) as connection:
        row = connection.execute(_KEYS_AGAINST_IDS).fetchone()
    assert row is not None
    assert row[0] > 20, "keys were hardly written against the order of transaction ids"
    positions = proof.positions()
    late = sum(one < before for before, one in pairwise(positions))
    assert late > 20, "hardly any event became visible behind a later position"
    refused = sum(one.outcome is Outcome.ROLLED_BACK for one in ledger.written)
    assert refused > 100, "hardly anything was taken back"
