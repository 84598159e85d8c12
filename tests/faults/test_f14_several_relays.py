"""F14: several relays at once, and leaders that die: one leads at a time, and another takes over
without help."""

from __future__ import annotations

from itertools import pairwise

import psycopg

from relay.core.lease import LEASE_TTL_S
from tests.support.history import Ledger, events_in_flight, prove
from tests.support.kafka import Broker
from tests.support.processes import LogLine, RelayProcess, StartRelay
from tests.support.wait import until
from tests.support.workload import writing

TAKEOVER_S = LEASE_TTL_S + 3.0


def test_of_three_relays_one_leads_at_a_time_and_a_killed_leader_is_replaced(
    outbox_url: str, broker: Broker, ledger: Ledger, relay_process: StartRelay
) -> None:
    relays = [relay_process(outbox_url, broker.bootstrap_servers) for _ in range(3)]
    repeated = 0
    with writing(outbox_url, ledger, writers=3):
        leader = _leader_after(0, relays, timeout_s=30.0)
        for term in (1, 2):
            _wait_for_windows(outbox_url, term)
            leader.kill()
            repeated += events_in_flight(outbox_url)
            leader = _leader_after(term, relays, timeout_s=TAKEOVER_S)
        _wait_for_windows(outbox_url, 3)

    prove(ledger, outbox_url, broker.bootstrap_servers, max_duplicates=repeated)
    _require_one_leader_a_term(relays, outbox_url)


def _wait_for_windows(url: str, term: int) -> None:
    """Wait until the leader of `term` has published for a while."""
    with psycopg.connect(url, autocommit=True) as connection:
        count = "select count(*) > 20 from outbox.window where term = %s"
        until(
            lambda: connection.execute(count, [term]).fetchone() == (True,),
            what=f"windows of term {term}",
        )


def _leader_after(term: int, relays: list[RelayProcess], timeout_s: float) -> RelayProcess:
    """The relay that leads in a later term than `term`, as soon as there is one."""

    def found() -> RelayProcess | None:
        for relay in relays:
            if any(line["term"] > term for line in _grants(relay)):
                return relay
        return None

    leader = until(found, timeout_s=timeout_s, what=f"a leader after term {term}")
    assert leader is not None
    return leader


def _grants(relay: RelayProcess) -> list[LogLine]:
    return [line for line in relay.log_lines() if line.get("event") == "leading"]


def _require_one_leader_a_term(relays: list[RelayProcess], url: str) -> None:
    owners = [(line["term"], line["owner"]) for relay in relays for line in _grants(relay)]
    terms = sorted(term for term, _ in owners)
    assert terms == [1, 2, 3], "a term was granted twice, or a leader that lived was replaced"
    with psycopg.connect(url) as connection:
        log = connection.execute("select term from outbox.window order by number, step").fetchall()
    assert all(before <= after for before, after in pairwise(log)), "a former leader wrote later"
    assert {int(term) for (term,) in log} == {0, *terms}
