"""Events whose topic is missing wait, those of other topics flow, and all go out in order by
themselves once the topic is there. And batches that are refused though no event is."""

from __future__ import annotations

import uuid

import pytest
from confluent_kafka.admin import AdminClient

from tests.cli.command import status
from tests.kafka.parking import log_of, wait_parked
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


@pytest.mark.real_broker
def test_events_that_fit_alone_and_not_as_a_batch_flow_without_being_called_refused(
    broker: Broker, narrow_topic: str, database_url: str, relay_process: StartRelay
) -> None:
    written = emit(database_url, narrow_topic, payload=b"x" * 5_000, count=100)
    relay = relay_process(database_url, broker.bootstrap_servers, "--until-drained")
    assert relay.wait() == 0
    assert ids(read_topic(broker.bootstrap_servers, narrow_topic, at_least=100)) == written
    assert all(line["event"] != "event_refused" for line in relay.log_lines())


def waits_for_its_topic(relay: RelayProcess, event_id: str) -> None:
    line = relay.wait_for_log("event_parked", event_id=event_id)
    assert "does not exist" in line["reason"]


def delete_topic(broker: Broker, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    admin.delete_topics([topic])[topic].result(10.0)
    until(lambda: topic not in admin.list_topics(timeout=10).topics, what="the topic is gone")


def missing_topic() -> str:
    return f"test.missing.{uuid.uuid4().hex[:12]}"


@pytest.mark.real_broker
def test_an_unknown_topic_is_not_created_by_accident_and_its_events_flow_once_it_is_there(
    broker: Broker, database_url: str, relay_process: StartRelay
) -> None:
    missing = missing_topic()
    written = emit(database_url, missing, count=3)
    relay = relay_process(database_url, broker.bootstrap_servers, **QUICK)
    waits_for_its_topic(relay, written[0])
    wait_parked(database_url, 3)
    written += emit(database_url, missing, count=2)
    wait_parked(database_url, 5)
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    assert missing not in admin.list_topics(timeout=10).topics

    broker.create_topic(missing)
    relay.wait_for_log("topic_appeared", topic=missing)
    wait_parked(database_url, 0)
    written += emit(database_url, missing)
    assert log_of(broker, missing, at_least=6) == written


@pytest.mark.real_broker
def test_while_a_topic_is_missing_those_behind_it_flow_and_nothing_is_repeated(
    broker: Broker, topic: str, database_url: str, relay_process: StartRelay
) -> None:
    missing = missing_topic()
    before = emit(database_url, topic, count=1_000)
    (unpublishable,) = emit(database_url, missing)
    after = emit(database_url, topic, count=1_000)
    relay = relay_process(database_url, broker.bootstrap_servers)

    waits_for_its_topic(relay, unpublishable)
    records = read_topic(broker.bootstrap_servers, topic, at_least=2_000)
    assert [idempotency_key(record) for record in records] == before + after
    assert status(database_url)["blocked"] is None


@pytest.mark.real_broker
def test_a_topic_that_was_deleted_holds_its_events_until_it_is_made_anew(
    broker: Broker, topic: str, database_url: str, relay_process: StartRelay
) -> None:
    """Its order is kept, while those of the other topics flow."""
    gone = missing_topic()
    broker.create_topic(gone)
    before = emit(database_url, gone, count=3)
    relay = relay_process(database_url, broker.bootstrap_servers, **QUICK)
    assert log_of(broker, gone, at_least=3) == before

    delete_topic(broker, gone)
    after = emit(database_url, gone, count=3)
    relay.wait_for_log("event_parked", event_id=after[0])
    others = emit(database_url, topic, count=3)
    assert log_of(broker, topic, at_least=3) == others
    broker.create_topic(gone)
    wait_parked(database_url, 0)
    assert log_of(broker, gone, at_least=3) == after


@pytest.mark.real_broker
def test_a_new_leader_goes_on_waiting_for_the_topic(
    broker: Broker, database_url: str, relay_process: StartRelay
) -> None:
    missing = missing_topic()
    written = emit(database_url, missing, key=None)
    relay = relay_process(database_url, broker.bootstrap_servers, **QUICK)
    waits_for_its_topic(relay, written[0])
    relay.terminate()
    assert relay.wait() == 0

    relay_process(database_url, broker.bootstrap_servers, **QUICK)
    written += emit(database_url, missing, key=None)
    wait_parked(database_url, 2)
    broker.create_topic(missing)
    wait_parked(database_url, 0)
    assert sorted(log_of(broker, missing, at_least=2)) == sorted(written)
