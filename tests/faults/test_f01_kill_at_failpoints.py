"""F01: kill -9 at every step of the relay that has a name."""

from __future__ import annotations

import signal

import pytest

from tests.faults.failpoint_names import OF_TRANSACTIONS, relay_failpoints
from tests.faults.test_f24_too_large import PARKING, RELEASE
from tests.support.history import PAGE_POSITIONS, Ledger, end_lease, events_in_flight, prove
from tests.support.kafka import Broker
from tests.support.processes import StartRelay
from tests.support.workload import Writer

BEFORE_THE_BOUNDARY = 100
BACKLOG = 300
"""Across the boundary of two pages: a crash behind the first must not repeat the second, or miss
it."""

# What may be repeated when the relay dies there, in pages of the backlog.
REPEATS = {
    "relay.recovered": 0,
    "relay.before_look": 0,
    "relay.window_stored": 0,
    "relay.before_send": 0,
    "relay.page_acked": 1,
    "relay.progress_stored": 0,
    "relay.window_closed": 0,
}


def test_each_failpoint_in_the_code_is_killed_at_here_or_where_it_is_passed() -> None:
    assert relay_failpoints() == sorted([*REPEATS, *PARKING, *RELEASE, *OF_TRANSACTIONS])


@pytest.mark.parametrize("failpoint", REPEATS)
def test_a_kill_loses_nothing_and_repeats_the_page_in_flight_at_most(
    failpoint: str,
    outbox_url: str,
    broker: Broker,
    ledger: Ledger,
    relay_process: StartRelay,
) -> None:
    writer = Writer("backlog", outbox_url, ledger)
    writer.run("select setval('outbox.event_position', %s)", PAGE_POSITIONS - BEFORE_THE_BOUNDARY)
    writer.backlog(BACKLOG)
    writer.close()

    doomed = relay_process(outbox_url, broker.bootstrap_servers, RELAY_FAILPOINT=failpoint)
    assert doomed.wait() == -signal.SIGKILL
    in_flight = events_in_flight(outbox_url)
    end_lease(outbox_url)
    successor = relay_process(outbox_url, broker.bootstrap_servers, "--until-drained")
    assert successor.wait() == 0

    assert in_flight < BACKLOG
    allowed = in_flight * REPEATS[failpoint]
    proof = prove(ledger, outbox_url, broker.bootstrap_servers, max_duplicates=allowed)
    assert proof.verdict.duplicates == allowed
    assert all(len(places) == 1 for places in proof.places().values())
