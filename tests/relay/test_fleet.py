"""Several outboxes, several relays: shared evenly, in order and without loss, whoever joins or
dies."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

import pytest

from relay.core.lease import LEASE_TTL_S
from tests.relay.fleet import led_by, several, wait_shared, writing_to_each
from tests.support.history import events_in_flight, prove
from tests.support.kafka import Broker
from tests.support.postgres import Postgres
from tests.support.processes import RelayProcess, StartRelay
from tests.support.wait import until

NAMES = ("billing", "orders", "stock", "users")
TAKEOVER_S = LEASE_TTL_S + 3.0


@pytest.fixture
def outboxes(postgres: Postgres, migrated_template: str) -> Iterator[dict[str, str]]:
    with several(postgres, migrated_template, NAMES) as urls:
        yield urls


def handed_over(relays: list[RelayProcess]) -> int:
    lines = [line for relay in relays for line in relay.log_lines()]
    return sum(line["event"] == "handed_over" for line in lines)


@pytest.mark.timeout(180)
def test_members_that_join_get_their_share_and_those_of_a_killed_one_go_on(
    outboxes: dict[str, str], mock_broker: Broker, relay_process: StartRelay
) -> None:
    topics = {name: f"fleet-{name}-{outboxes[name][-12:]}" for name in NAMES}
    for topic in topics.values():
        mock_broker.create_topic(topic)
    servers = mock_broker.bootstrap_servers
    with writing_to_each(outboxes, mock_broker, topics) as ledgers:
        relays = [relay_process(outboxes, servers)]
        wait_shared(outboxes, relays, [4])
        relays.append(relay_process(outboxes, servers))
        wait_shared(outboxes, relays, [2, 2])
        relays.append(relay_process(outboxes, servers))
        wait_shared(outboxes, relays, [2, 1, 1])
        assert handed_over(relays) == 3, "more was moved than had to be"

        dead = relays.pop(0)
        dead.kill()
        repeated = {name: events_in_flight(url) for name, url in outboxes.items()}
        until(
            lambda: (
                set(led_by(outboxes).values()) == {one.pid for one in relays}
                and len(led_by(outboxes)) == len(NAMES)
            ),
            timeout_s=TAKEOVER_S,
            every_s=0.1,
            what="all outboxes to be led again",
        )
        wait_shared(outboxes, relays, [2, 2])
        for ledger in ledgers.values():
            ledger.wait_for(transactions=10)

    for name, url in outboxes.items():
        prove(ledgers[name], url, servers, max_duplicates=repeated[name])


def test_a_stopped_member_leaves_at_once_with_all_that_it_led(
    outboxes: dict[str, str], mock_broker: Broker, relay_process: StartRelay
) -> None:
    relays = [relay_process(outboxes, mock_broker.bootstrap_servers) for _ in range(2)]
    wait_shared(outboxes, relays, [2, 2])
    relays[0].terminate()
    begun_s = monotonic()

    assert relays[0].wait() == 0
    wait_shared(outboxes, [relays[1]], [4], timeout_s=3.0)
    assert monotonic() - begun_s < 5.0


def test_lines_of_the_log_name_their_outbox(
    outboxes: dict[str, str], mock_broker: Broker, relay_process: StartRelay
) -> None:
    relay = relay_process(outboxes, mock_broker.bootstrap_servers)
    for name in NAMES:
        relay.wait_for_log("leading", outbox=name)
        relay.wait_for_log("standby", outbox=name)


def test_until_drained_ends_when_each_is_drained(
    outboxes: dict[str, str], mock_broker: Broker, relay_process: StartRelay
) -> None:
    relay = relay_process(outboxes, mock_broker.bootstrap_servers, "--until-drained")

    assert relay.wait() == 0
    drained = [line["outbox"] for line in relay.log_lines() if line["event"] == "drained"]
    assert sorted(drained) == sorted(NAMES)
