"""The producer's properties: the user's, on top of ours, with those that carry a promise fixed."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import KafkaException, Producer

__all__ = ["REFUSED", "faults", "producer_properties"]

_FIXED: Mapping[str, str | int | bool] = {
    "acks": "all",
    "enable.idempotence": True,
    # A batch that fails for good must not be overtaken by the next one: 2,3,1 in the log cannot be
    # repaired.
    "enable.gapless.guarantee": True,
    "partitioner": "murmur2_random",
    # A delivery that timed out may still arrive, after the events behind it. So none times out by
    # itself.
    "message.timeout.ms": 0,
    "message.send.max.retries": 2147483647,
    # Successes are counted by flush(); a callback for each would halve the rate.
    "delivery.report.only.error": True,
}

_OURS: Mapping[str, str | int | bool] = {
    "client.id": "outbox-relay",
    "allow.auto.create.topics": False,
    "topic.metadata.propagation.max.ms": 10_000,
    # flush() does not wait for the linger, so it only ever groups what is handed over together.
    "linger.ms": 50,
    "batch.num.messages": 10_000,
    "message.max.bytes": 1_048_576,
    "queue.buffering.max.messages": 100_000,
    "socket.keepalive.enable": True,
    "reconnect.backoff.max.ms": 2_000,
    "log_level": 0,
}

_ACKS = "it is always all: an event that only the leader of a partition has can be lost"

REFUSED: Mapping[str, str] = {
    "acks": _ACKS,
    "request.required.acks": _ACKS,
    "enable.idempotence": "it is always on: without it a retry reorders and repeats events",
    "enable.gapless.guarantee": "it is always on: an event must not overtake one that failed",
    "partitioner": "it is always murmur2_random, so that keys go where the Java client puts them",
    "message.timeout.ms": "a delivery that timed out may still arrive, out of order",
    "delivery.timeout.ms": "a delivery that timed out may still arrive, out of order",
    "message.send.max.retries": "deliveries are retried until they succeed",
    "retries": "deliveries are retried until they succeed",
    "transactional.id": "the relay does not publish in Kafka transactions",
    "delivery.report.only.error": "the relay counts on it",
    "bootstrap.servers": "set RELAY_KAFKA_BOOTSTRAP_SERVERS",
    "metadata.broker.list": "set RELAY_KAFKA_BOOTSTRAP_SERVERS",
}
"""Properties that would break a promise, with the reason that the user is told."""


def producer_properties(
    bootstrap_servers: str, properties: Mapping[str, str]
) -> dict[str, str | int | bool]:
    """What librdkafka is configured with.

    `properties` are the user's, checked by `faults` before.
    """
    return {**_OURS, **properties, **_FIXED, "bootstrap.servers": bootstrap_servers}


def faults(properties: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with the user's properties, by name.

    Refused ones, and what librdkafka does not know or take.
    """
    found = {name: REFUSED[name] for name in properties if name in REFUSED}
    remaining = {name: value for name, value in properties.items() if name not in found}
    while problem := _first_fault(remaining):
        name, reason = problem
        found[name] = reason
        remaining.pop(name, None)
    return found


def _first_fault(properties: Mapping[str, str]) -> tuple[str, str] | None:
    """The first property that librdkafka will not take.

    Its message can quote the value, so that is cut out.
    """
    try:
        Producer(producer_properties("", properties))
    except KafkaException as problem:
        text = str(problem.args[0].str())
        named = next((name for name in properties if f'"{name}"' in text), None)
        if named is None:
            return next(iter(properties), "properties"), text
        return named, text.replace(properties[named], "***")
    return None
