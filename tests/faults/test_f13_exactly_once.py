"""F13 in Kafka transactions: a leader is frozen between produce and flush, and wakes up after
another took over. The broker refuses what it still sends; it says so, and steps down."""

from __future__ import annotations

from contextlib import closing

import pytest
from confluent_kafka import Consumer, TopicPartition

from relay.demo.apache_kafka import ApacheKafka
from tests.support.history import PARTITIONS, Ledger, end_lease, prove, wait_drained
from tests.support.processes import RelayProcess, StartRelay
from tests.support.wait import until
from tests.support.workload import KEYS, Writer

pytestmark = [pytest.mark.real_broker, pytest.mark.timeout(300)]

ROUNDS = 4
BACKLOG = 8_000
TOPIC = "f13.once"


def test_a_zombie_is_fenced_and_what_it_sends_is_never_seen(
    outbox_url: str, own_kafka: ApacheKafka, relay_process: StartRelay
) -> None:
    ledger = Ledger(TOPIC)
    own_kafka.create_topic(TOPIC)

    def start() -> RelayProcess:
        # So that most of a page is still queued when its first records have arrived.
        small = {"RELAY_KAFKA_BATCH_NUM_MESSAGES": "10", "RELAY_DELIVERY": "exactly-once"}
        return relay_process(outbox_url, own_kafka.bootstrap_servers, **small)

    leader = start()
    leader.wait_for_log("leading")
    standby = start()
    with closing(Writer("backlog", outbox_url, ledger)) as writer:
        for _ in range(ROUNDS):
            wait_drained(outbox_url)
            before = _appended(own_kafka)
            writer.backlog(BACKLOG, sorted(KEYS))
            until(lambda before=before: _appended(own_kafka) > before, what="a page under way")  # type: ignore[misc]  # bound now
            stepped_down, led = _stepped_down(leader), _led(standby)
            leader.suspend()
            end_lease(outbox_url)
            # Also where the page was out already: frozen, the leader would go on with its lease.
            until(lambda led=led, heir=standby: _led(heir) > led, what="another to lead")  # type: ignore[misc]  # bound now
            wait_drained(outbox_url)
            leader.resume()
            _wait_stepped_down(leader, more_than=stepped_down)
            leader, standby = standby, leader
    servers = own_kafka.bootstrap_servers
    proof = prove(ledger, outbox_url, servers, isolation="read_committed")

    assert len(proof.records) == ROUNDS * BACKLOG
    assert _appended(own_kafka) > len(proof.records) + ROUNDS * PARTITIONS, "nothing was aborted"


def _wait_stepped_down(relay: RelayProcess, more_than: int) -> None:
    until(lambda: _stepped_down(relay) > more_than, what="the zombie to say so")


def _stepped_down(relay: RelayProcess) -> int:
    lines = relay.log_lines()
    # Frozen inside a transaction it finds its session ended; else the broker or the log fences it.
    return sum(line["event"] in ("stepped_down", "unreachable") for line in lines)


def _led(relay: RelayProcess) -> int:
    return sum(line["event"] == "leading" for line in relay.log_lines())


def _appended(kafka: ApacheKafka) -> int:
    """How many offsets the topic has used, those of open and aborted transactions too."""
    settings = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "group.id": "f13",
        "isolation.level": "read_uncommitted",
        "log_level": 0,
    }
    with closing(Consumer(settings)) as consumer:
        places = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
        return sum(consumer.get_watermark_offsets(place, timeout=10.0)[1] for place in places)
