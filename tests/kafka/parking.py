"""What tests of parking on a real broker share: a topic that takes little, and the log's order."""

from __future__ import annotations

import uuid

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, and not in its __all__
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from tests.cli.command import relay, status
from tests.relay.events import idempotency_key
from tests.support.consume import read_topic
from tests.support.kafka import Broker
from tests.support.wait import until

__all__ = ["LIMIT_BYTES", "TOO_LARGE", "log_of", "make_narrow", "retried", "wait_parked", "widen"]

LIMIT_BYTES = 100_000
TOO_LARGE = b"x" * (LIMIT_BYTES + 1)


def make_narrow(broker: Broker, partitions: int = 4) -> str:
    """A topic that takes no batch over LIMIT_BYTES."""
    name = f"test.narrow.{uuid.uuid4().hex[:12]}"
    broker.create_topic(name, partitions, config={"max.message.bytes": str(LIMIT_BYTES)})
    return name


def widen(broker: Broker, topic: str) -> None:
    """Let the topic take what any default broker takes."""
    entry = ConfigEntry("max.message.bytes", "1048588", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    admin.incremental_alter_configs([resource])[resource].result(10.0)


def wait_parked(database_url: str, count: int) -> None:
    """Wait until nothing is pending, and `count` events are parked."""

    def settled() -> bool:
        found = status(database_url)
        return bool(found["pending"] == 0 and found["parked"] == count)

    until(settled, timeout_s=30, every_s=0.1, what=f"nothing pending and {count} parked")


def retried(database_url: str, *selection: str) -> None:
    """Ask for a retry, as an operator does."""
    outcome = relay(
        "parked", "retry", *selection, "--why", "the limit was raised", database_url=database_url
    )
    assert outcome.exit_code == 0, outcome.said


def log_of(broker: Broker, topic: str, at_least: int = 0) -> list[str]:
    """Every id in the log, repeats included."""
    records = read_topic(broker.bootstrap_servers, topic, at_least=at_least)
    return [idempotency_key(record) for record in records]
