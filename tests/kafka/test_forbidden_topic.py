"""F25: a topic that the relay may not write to is parked whole, and the others flow; once the right
is granted a retry publishes it in order."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, and not in its __all__
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from relay.demo.apache_kafka import ApacheKafka
from tests.cli.command import status
from tests.kafka.parking import retried, wait_parked
from tests.relay.events import emit, idempotency_key
from tests.support.consume import read_topic
from tests.support.kafka import private_kafka
from tests.support.processes import StartRelay

EVERYONE = "User:ANONYMOUS"
WITH_ACLS = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}


@pytest.fixture(scope="module")
def guarded_kafka() -> Iterator[ApacheKafka]:
    """A private Kafka that looks at ACLs; what has none is open to everyone."""
    with private_kafka(WITH_ACLS) as kafka:
        yield kafka


class Guard:
    """Takes rights to a topic away, and gives them back."""

    def __init__(self, kafka: ApacheKafka) -> None:
        self._admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})

    def forbid(self, topic: str, operation: AclOperation) -> None:
        of_topic = (ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, EVERYONE, "*")
        rules = [
            AclBinding(*of_topic, AclOperation.ALL, AclPermissionType.ALLOW),
            AclBinding(*of_topic, operation, AclPermissionType.DENY),
        ]
        for done in self._admin.create_acls(rules).values():
            done.result(10)

    def forbid_group(self, group: str) -> None:
        rule = (ResourceType.GROUP, group, ResourcePatternType.LITERAL, EVERYONE, "*")
        asked = self._admin.create_acls(
            [AclBinding(*rule, AclOperation.ALL, AclPermissionType.DENY)]
        )
        for done in asked.values():
            done.result(10)

    def allow(self, topic: str) -> None:
        every = AclBindingFilter(
            ResourceType.TOPIC,
            topic,
            ResourcePatternType.LITERAL,
            None,  # type: ignore[arg-type]  # None stands for any
            None,  # type: ignore[arg-type]  # None stands for any
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        self._admin.delete_acls([every])[every].result(10)


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
@pytest.mark.parametrize("operation", [AclOperation.WRITE, AclOperation.ALL], ids=["write", "all"])
def test_a_forbidden_topic_is_parked_whole_and_published_in_order_once_it_is_allowed(
    guarded_kafka: ApacheKafka,
    database_url: str,
    relay_process: StartRelay,
    operation: AclOperation,
    delivery: str,
) -> None:
    guard = Guard(guarded_kafka)
    forbidden, free = (f"test.guarded.{uuid.uuid4().hex[:12]}" for _ in range(2))
    for topic in (forbidden, free):
        guarded_kafka.create_topic(topic, 1)
    guard.forbid(forbidden, operation)
    of_forbidden = emit(database_url, forbidden, count=3)
    of_free = emit(database_url, free, count=3)
    of_forbidden += emit(database_url, forbidden, key="another", count=2)
    servers = guarded_kafka.bootstrap_servers
    relay = relay_process(database_url, servers, RELAY_DELIVERY=delivery)

    line = relay.wait_for_log("event_parked", event_id=of_forbidden[0])
    assert "not authorised to write to the topic" in line["reason"]
    wait_parked(database_url, 5)
    assert status(database_url)["held"] == 1
    assert log_of(guarded_kafka, free, 3) == of_free

    guard.allow(forbidden)
    retried(database_url, "--topic", forbidden)
    wait_parked(database_url, 0)
    assert log_of(guarded_kafka, forbidden, 5) == of_forbidden
    assert status(database_url)["held"] == 0


def test_exactly_once_needs_no_right_to_any_group(
    guarded_kafka: ApacheKafka, database_url: str, relay_process: StartRelay
) -> None:
    Guard(guarded_kafka).forbid_group("outbox-relay")
    topic = f"test.guarded.{uuid.uuid4().hex[:12]}"
    guarded_kafka.create_topic(topic, 1)
    servers, written = guarded_kafka.bootstrap_servers, []
    for _ in range(2):
        written += emit(database_url, topic, count=3)
        once = {"RELAY_DELIVERY": "exactly-once"}
        assert relay_process(database_url, servers, "--until-drained", **once).wait() == 0

    assert log_of(guarded_kafka, topic, 6) == written


def log_of(kafka: ApacheKafka, topic: str, at_least: int) -> list[str]:
    """The ids in a topic of one partition in order, each at its first appearance: what is sent
    beside the event that the broker itself refuses may repeat."""
    servers = kafka.bootstrap_servers
    records = read_topic(servers, topic, at_least=at_least, isolation="read_committed")
    return list(dict.fromkeys(idempotency_key(one) for one in records))
