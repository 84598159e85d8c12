"""An event that the broker will never take is parked with its key behind it; others flow, and a
retry publishes the key in its order."""

from __future__ import annotations

from hashlib import sha256

import pytest

from tests.cli.command import status
from tests.kafka.parking import (
    LIMIT_BYTES,
    TOO_LARGE,
    log_of,
    make_narrow,
    retried,
    wait_parked,
    widen,
)
from tests.relay.events import emit
from tests.support.kafka import Broker
from tests.support.processes import StartRelay
from tests.support.wait import until

pytestmark = pytest.mark.real_broker

# Compressed sizes are not known before, so that the broker has to judge.
JUDGED_BY_BROKER = {"RELAY_KAFKA_COMPRESSION_TYPE": "gzip"}
INCOMPRESSIBLE = b"".join(sha256(n.to_bytes(4)).digest() for n in range(LIMIT_BYTES // 20))


@pytest.fixture
def narrow_topic(broker: Broker) -> str:
    return make_narrow(broker)


def test_what_is_too_large_is_parked_with_its_key_and_the_other_keys_flow_without_a_repeat(
    broker: Broker, narrow_topic: str, database_url: str, relay_process: StartRelay
) -> None:
    before = emit(database_url, narrow_topic, key="a", count=5)
    (large,) = emit(database_url, narrow_topic, key="a", payload=TOO_LARGE)
    emit(database_url, narrow_topic, key="a", count=5)
    others = emit(database_url, narrow_topic, key="b", count=200)
    relay = relay_process(database_url, broker.bootstrap_servers)

    line = relay.wait_for_log("event_parked", event_id=large)
    assert f"max.message.bytes is {LIMIT_BYTES}" in line["reason"]
    wait_parked(database_url, 6)
    later = emit(database_url, narrow_topic, key="b", count=3)
    emit(database_url, narrow_topic, key="a", count=2)
    wait_parked(database_url, 8)
    assert sorted(log_of(broker, narrow_topic)) == sorted([*before, *others, *later])
    assert status(database_url)["blocked"] is None


def test_a_retry_publishes_the_key_in_its_order_and_frees_it(
    broker: Broker, database_url: str, relay_process: StartRelay
) -> None:
    topic = make_narrow(broker, partitions=1)
    (first,) = emit(database_url, topic, payload=TOO_LARGE)
    behind = emit(database_url, topic, count=3)
    relay_process(database_url, broker.bootstrap_servers)
    wait_parked(database_url, 4)

    widen(broker, topic)
    retried(database_url, "--topic", topic)
    wait_parked(database_url, 0)
    (later,) = emit(database_url, topic)
    wait_parked(database_url, 0)
    assert log_of(broker, topic, at_least=5) == [first, *behind, later]
    assert status(database_url)["held"] == 0


def test_a_retry_in_vain_parks_the_key_again_in_its_order(
    broker: Broker, database_url: str, relay_process: StartRelay
) -> None:
    topic = make_narrow(broker, partitions=1)
    (first,) = emit(database_url, topic, payload=TOO_LARGE)
    behind = emit(database_url, topic, count=2)
    relay = relay_process(database_url, broker.bootstrap_servers)
    wait_parked(database_url, 3)
    retried(database_url, "--all")
    until(
        lambda: sum(line["event"] == "event_parked" for line in relay.log_lines()) == 2,
        what="refused again",
    )
    wait_parked(database_url, 3)
    assert log_of(broker, topic) == []

    widen(broker, topic)
    retried(database_url, "--id", first)
    wait_parked(database_url, 0)
    assert log_of(broker, topic, at_least=3) == [first, *behind]


def test_where_only_the_broker_can_judge_nothing_of_the_key_overtakes_the_refused_event(
    broker: Broker, database_url: str, relay_process: StartRelay
) -> None:
    """A batch of its own for each, several in flight: one refused batch must stop the next ones."""
    topic = make_narrow(broker, partitions=1)
    (first,) = emit(database_url, topic, payload=INCOMPRESSIBLE)
    second, third = emit(database_url, topic, count=2)
    relay = relay_process(
        database_url,
        broker.bootstrap_servers,
        RELAY_KAFKA_BATCH_SIZE=str(LIMIT_BYTES // 2),
        **JUDGED_BY_BROKER,
    )
    line = relay.wait_for_log("event_parked", event_id=first)
    assert "larger than the broker or the topic allows" in line["reason"]
    wait_parked(database_url, 3)
    assert log_of(broker, topic) == []

    widen(broker, topic)
    retried(database_url, "--all")
    wait_parked(database_url, 0)
    assert log_of(broker, topic, at_least=3) == [first, second, third]


def test_what_a_setting_of_the_client_forbids_is_parked_and_not_a_crash(
    broker: Broker, topic: str, database_url: str, relay_process: StartRelay
) -> None:
    before = emit(database_url, topic, key="a", count=3)
    (large,) = emit(database_url, topic, key="a", payload=b"x" * 5_000)
    relay = relay_process(
        database_url, broker.bootstrap_servers, RELAY_KAFKA_MESSAGE_MAX_BYTES="2000"
    )
    line = relay.wait_for_log("event_parked", event_id=large)
    assert "the client's message.max.bytes is 2000" in line["reason"]
    assert relay.exit_code is None
    assert log_of(broker, topic, at_least=3) == before


def test_an_event_without_a_key_is_parked_alone(
    broker: Broker, narrow_topic: str, database_url: str, relay_process: StartRelay
) -> None:
    emit(database_url, narrow_topic, key=None, payload=TOO_LARGE)
    others = emit(database_url, narrow_topic, key=None, count=5)
    relay_process(database_url, broker.bootstrap_servers)
    wait_parked(database_url, 1)
    assert sorted(log_of(broker, narrow_topic, at_least=5)) == sorted(others)
    assert status(database_url)["held"] == 0


def test_until_drained_ends_though_events_are_parked(
    broker: Broker, narrow_topic: str, database_url: str, relay_process: StartRelay
) -> None:
    emit(database_url, narrow_topic, payload=TOO_LARGE)
    relay = relay_process(database_url, broker.bootstrap_servers, "--until-drained")
    assert relay.wait() == 0
    assert status(database_url)["parked"] == 1
