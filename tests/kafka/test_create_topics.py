"""`relay run --create-topics`: a missing topic is made as the operator said; else it is waited for
(test_refused_events.py)."""

from __future__ import annotations

import uuid

import pytest
from confluent_kafka.admin import AdminClient

from tests.cli.command import relay, status
from tests.kafka.parking import log_of
from tests.relay.events import emit
from tests.support.kafka import Broker
from tests.support.processes import StartRelay

pytestmark = pytest.mark.real_broker


def partitions_of(broker: Broker, topic: str) -> int:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    return len(admin.list_topics(timeout=10).topics[topic].partitions)


@pytest.mark.parametrize(("option", "partitions"), [("=3:1", 3), ("", 1)])
def test_missing_topics_of_a_page_are_made_in_the_shape_that_was_asked_for(
    broker: Broker,
    database_url: str,
    relay_process: StartRelay,
    option: str,
    partitions: int,
) -> None:
    missing = [f"test.made.{uuid.uuid4().hex[:12]}" for _ in range(2)]
    written = [emit(database_url, topic, count=3) for topic in missing]
    process = relay_process(
        database_url, broker.bootstrap_servers, f"--create-topics{option}", "--until-drained"
    )
    assert process.wait() == 0
    assert [log_of(broker, topic, at_least=3) for topic in missing] == written
    assert [partitions_of(broker, topic) for topic in missing] == [partitions] * 2
    assert not any(line["event"] == "event_refused" for line in process.log_lines())


def test_a_topic_that_cannot_be_made_is_waited_for_with_what_the_broker_says(
    broker: Broker, database_url: str, relay_process: StartRelay
) -> None:
    (event_id,) = emit(database_url, f"test.made.{uuid.uuid4().hex[:12]}")
    process = relay_process(database_url, broker.bootstrap_servers, "--create-topics=1:100")
    line = process.wait_for_log("event_parked", event_id=event_id)
    assert "could not be created" in line["reason"]
    assert status(database_url)["parked"] == 1


@pytest.mark.parametrize("shape", ["3", "0:1", "many:1", "3:1:1"])
def test_a_shape_that_is_none_is_bad_configuration(shape: str) -> None:
    outcome = relay(
        "run",
        f"--create-topics={shape}",
        database_url="host=127.0.0.1",
        bootstrap_servers="127.0.0.1:1",
    )
    assert outcome.exit_code == 78
    assert "RELAY_CREATE_TOPICS: is neither PARTITIONS:REPLICATION" in outcome.err
