"""An event whose topic is missing: the relay waits at it, says which and why, loses nothing, and
goes on by itself once the topic is there. And batches that are refused though no event is."""

from __future__ import annotations

import uuid

import pytest
from confluent_kafka.admin import AdminClient

from tests.cli.command import status
from tests.relay.events import emit, idempotency_key
from tests.support.consume import Record, read_topic
from tests.support.kafka import Broker
from tests.support.processes import RelayProcess, StartRelay
from tests.support.wait import until

LIMIT_BYTES = 100_000
# A topic that was just created may be unknown for a while; here there is nothing to wait for.
QUICK = {"RELAY_KAFKA_TOPIC_METADATA_PROPAGATION_MAX_MS": "300"}


@pytest.fixture
def narrow_topic(broker: Broker) -> str:
    """A topic that takes no batch over LIMIT_BYTES."""
    name = f"test.narrow.{uuid.uuid4().hex[:12]}"
    broker.create_topic(name, config={"max.message.bytes": str(LIMIT_BYTES)})
    return name


def ids(records: list[Record]) -> list[str]:
    """The idempotency keys, in the order of the log, each at its first appearance."""
    return list(dict.fromkeys(idempotency_key(record) for record in records))


def wait_unblocked(database_url: str) -> None:
    def drained() -> bool:
        found = status(database_url)
        return found["pending"] == 0 and found["blocked"] is None

    until(drained, timeout_s=20, every_s=0.1, what="nothing pending and nothing blocked")


@pytest.mark.real_broker
def test_events_that_fit_alone_and_not_as_a_batch_flow_without_being_called_refused(
    broker: Broker, narrow_topic: str, database_url: str, relay_process: StartRelay
) -> None:
    written = emit(database_url, narrow_topic, payload=b"x" * 5_000, count=100)
    relay = relay_process(database_url, broker.bootstrap_servers, "--until-drained")
    assert relay.wait() == 0
    assert ids(read_topic(broker.bootstrap_servers, narrow_topic, at_least=100)) == written
    assert all(line["event"] != "event_refused" for line in relay.log_lines())


def stopped_at_unknown(relay: RelayProcess, event_id: str) -> None:
    line = relay.wait_for_log("event_refused", event_id=event_id)
    assert "does not exist" in line["reason"]


@pytest.mark.real_broker
def test_an_unknown_topic_is_not_created_by_accident_and_its_events_flow_once_it_is_there(
    broker: Broker, database_url: str, relay_process: StartRelay
) -> None:
    missing = f"test.missing.{uuid.uuid4().hex[:12]}"
    written = emit(database_url, missing, count=3)
    relay = relay_process(database_url, broker.bootstrap_servers, **QUICK)
    stopped_at_unknown(relay, written[0])
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    assert missing not in admin.list_topics(timeout=10).topics

    broker.create_topic(missing)
    wait_unblocked(database_url)
    assert ids(read_topic(broker.bootstrap_servers, missing, at_least=3)) == written


@pytest.mark.real_broker
def test_a_missing_topic_in_a_busy_page_is_named_at_once_and_repeats_nothing(
    broker: Broker, topic: str, database_url: str, relay_process: StartRelay
) -> None:
    missing = f"test.missing.{uuid.uuid4().hex[:12]}"
    before = emit(database_url, topic, count=1_000)
    (unpublishable,) = emit(database_url, missing)
    emit(database_url, topic, count=1_000)
    relay = relay_process(database_url, broker.bootstrap_servers)

    line = relay.wait_for_log("event_refused", event_id=unpublishable, timeout=10)
    assert missing in line["reason"]
    records = read_topic(broker.bootstrap_servers, topic, at_least=1_000)
    assert [idempotency_key(record) for record in records] == before


@pytest.mark.real_broker
def test_a_new_leader_names_the_refused_event_again(
    broker: Broker, database_url: str, relay_process: StartRelay
) -> None:
    (event_id,) = emit(database_url, f"test.missing.{uuid.uuid4().hex[:12]}", key=None)
    for _ in range(2):
        relay = relay_process(database_url, broker.bootstrap_servers, **QUICK)
        stopped_at_unknown(relay, event_id)
        relay.terminate()
        assert relay.wait() == 0
    assert status(database_url)["blocked"]["event_id"] == event_id
    assert status(database_url)["pending"] == 1
