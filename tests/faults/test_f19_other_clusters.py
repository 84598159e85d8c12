"""F19: the database goes on in another cluster, and each event that was pending is published once.

The exact rows of it are in tests/relay/test_restored.py; here whole processes run, under load.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from relay.admin import migrate
from tests.support.clusters import dump, read_in, use_up_ids
from tests.support.history import Ledger, prove, wait_drained
from tests.support.kafka import Broker
from tests.support.postgres import CrashablePostgres
from tests.support.processes import StartRelay
from tests.support.workload import prepare_keys, writing


@pytest.mark.parametrize("ids", ["behind", "ahead"])
def test_a_dump_goes_on_in_another_cluster_with_no_event_lost_repeated_or_reordered(
    own_postgres: Callable[..., CrashablePostgres],
    broker: Broker,
    ledger: Ledger,
    relay_process: StartRelay,
    ids: str,
) -> None:
    source, target = own_postgres(), own_postgres()
    migrate.upgrade(source.url())
    prepare_keys(source.url())
    ahead, behind = (target, source) if ids == "ahead" else (source, target)
    use_up_ids(ahead.url(), beyond=behind.url())
    first = relay_process(source.url(), broker.bootstrap_servers)
    first.wait_for_log("leading")
    with writing(source.url(), ledger, writers=4):
        ledger.wait_for(100)
        first.terminate()
        assert first.wait() == 0
        ledger.wait_for(50)
    read_in(target, dump(source.url(), target))
    second = relay_process(target.url(), broker.bootstrap_servers)
    with writing(target.url(), ledger, writers=4, seed=7):
        second.wait_for_log("leading")
        ledger.wait_for(50)
    wait_drained(target.url())
    proof = prove(ledger, target.url(), broker.bootstrap_servers, max_duplicates=0)

    assert any(line["event"] == "restored" for line in second.log_lines())
    assert len({epoch for one in proof.places().values() for _, epoch in one}) == 2
