"""The producer's properties: the user's, on top of ours, with those that carry a promise fixed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from confluent_kafka import KafkaException, Producer

__all__ = [
    "ANY",
    "REFUSED",
    "SILENT",
    "Properties",
    "faults",
    "producer_properties",
    "transactional_properties",
]

ANY = "*"

Properties = Mapping[str, str | int | bool]
"""Taken whole for each client that is made: a secret among them may have been changed."""

SILENT = logging.getLogger("relay.librdkafka")
"""The client's own lines are not JSON, and say nothing that its callbacks do not."""
SILENT.disabled = True

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
    # The relay asks for the partitions of its topics itself (partitions.py).
    "topic.metadata.refresh.interval.ms": -1,
    # Successes are counted by flush(); a callback for each would halve the rate.
    "delivery.report.only.error": True,
}

_OURS: Mapping[str, str | int | bool] = {
    "client.id": "outbox-relay",
    "allow.auto.create.topics": False,
    "topic.metadata.propagation.max.ms": 10_000,
    # flush() does not wait for the linger, so it only ever groups what is handed over together.
    "linger.ms": 50,
    # Small enough that the first batches leave while the page is still handed over.
    "batch.num.messages": 1_000,
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
    "transactional.id": "the relay names it after its outbox; set RELAY_DELIVERY=exactly-once",
    "delivery.report.only.error": "the relay counts on it",
    "topic.metadata.refresh.interval.ms": "the relay asks for the partitions itself, every minute",
    "bootstrap.servers": "set RELAY_KAFKA_BOOTSTRAP_SERVERS",
    "metadata.broker.list": "set RELAY_KAFKA_BOOTSTRAP_SERVERS",
}
"""Properties that would break a promise, with the reason that the user is told."""


class _Layers(Mapping[str, str | int | bool]):
    """Properties on top of others, each asked for anew: a copy would keep an old password."""

    def __init__(self, layers: tuple[Properties, ...], without: tuple[str, ...] = ()) -> None:
        self._layers = layers
        self._without = without

    def __getitem__(self, name: str) -> str | int | bool:
        if name not in self._without:
            for layer in reversed(self._layers):
                if name in layer:
                    return layer[name]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        names = dict.fromkeys(name for layer in self._layers for name in layer)
        return (name for name in names if name not in self._without)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def producer_properties(bootstrap_servers: str, properties: Mapping[str, str]) -> Properties:
    """What librdkafka is configured with.

    `properties` are the user's, checked by `faults` before.
    """
    return _Layers((_OURS, properties, _FIXED, {"bootstrap.servers": bootstrap_servers}))


_NOT_IN_TRANSACTIONS = ("enable.gapless.guarantee", "message.timeout.ms")
"""An abort hides what failed and all behind it, so a failure need not end the producer. And the
broker gives up a transaction that lasts too long, so a delivery must not last for ever."""

TRANSACTION_TIMEOUT_MS = 30_000
"""Consumers of what is committed wait behind an open transaction. That of a dead leader is aborted
by the next within seconds; only where no other relay comes they wait for so long. Long enough for a
page of 32 MB at 1 MB/s."""


def transactional_properties(bootstrap_servers: str, properties: Mapping[str, str]) -> Properties:
    """The same for Kafka transactions, but for the id."""
    ours = {"transaction.timeout.ms": TRANSACTION_TIMEOUT_MS}
    all_of_them = (ours, producer_properties(bootstrap_servers, properties))
    return _Layers(all_of_them, without=_NOT_IN_TRANSACTIONS)


def faults(properties: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with the user's properties, by name; `*` stands for several at once.

    A value is never repeated: it may be a secret.
    """
    found = {name: why for name in properties if (why := _why_refused(name))}
    remaining = {name: value for name, value in properties.items() if name not in found}
    while problem := _fault_of(remaining):
        name, reason = problem
        found[name] = reason
        if name == ANY:
            break
        del remaining[name]
    return found


def _why_refused(name: str) -> str | None:
    if name.startswith("test."):
        return "it would publish to a mock inside the relay, and every event would be lost"
    return REFUSED.get(name)


def _fault_of(properties: Mapping[str, str]) -> tuple[str, str] | None:
    """The first property that librdkafka will not take, and why."""
    if (text := _complaint(properties)) is None:
        return None
    culprits = [name for name in properties if _complaint({name: properties[name]}) == text]
    if culprits:
        return culprits[0], _without(text, properties[culprits[0]])
    return ANY, _without(text, *properties.values())


def _complaint(properties: Mapping[str, str]) -> str | None:
    try:
        Producer({**producer_properties("", properties), "logger": SILENT})
    except KafkaException as problem:
        return str(problem.args[0].str()).strip()
    return None


def _without(text: str, *values: str) -> str:
    """The text, or only its kind if it quotes a value: cutting the value out could leave a part."""
    if any(value and value in text for value in values):
        return "librdkafka does not take its value"
    return f"librdkafka: {text}"
