"""Whether an event is too large, known before anything of its key is handed over.

Naive: hand over, and see what the broker says. It judges a batch whole, so the event to blame is
found by halving, and each half that passes is in the log again: its neighbours repeat. And what was
handed over behind it is only kept from overtaking it by the producer's sequence numbers.

What is known in advance: the client's own `message.max.bytes`, and the topic's `max.message.bytes`,
where the relay may read it (DescribeConfigs). It is asked for only when an event of some size
comes, so that small ones cost one comparison each. A limit that is remembered lets events pass and
refuses none: before one is set aside for it, the topic is asked anew, since an operator who has
just raised it retries at once. Where it cannot be read, and where the client compresses, so that
the size on the wire is not known, the broker judges.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import wait
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, and not in its __all__
    AdminClient,
    ConfigResource,
)

from relay.core.envelope import Headers
from relay.core.inputs import Row, Rows
from relay.kafka.properties import SILENT

__all__ = ["Limits", "record_bytes_min"]

SUSPECT_BYTES = 50_000
"""Events with a smaller payload are not looked at: a topic that takes less is a rarity."""

DESCRIBE_TIMEOUT_S = 1.0
"""Within the lease's margin, as for the metadata: no event is handed over meanwhile."""

BATCH_BYTES, RECORD_BYTES, HEADER_BYTES = 61, 7, 2
"""What the format adds at least: to a batch, to a record (its seven lengths and deltas of a byte
or more), to a header (two lengths)."""

_LIMIT = "max.message.bytes"


class Limits:
    """The sizes that the client and the topics allow."""

    def __init__(self, properties: Mapping[str, str | int | bool]) -> None:
        self._properties = properties
        self._client_max = int(properties.get("message.max.bytes", 1_000_000))
        self._suspect = min(SUSPECT_BYTES, self._client_max // 2)
        self._compresses = any(
            str(properties.get(name, "none")) != "none"
            for name in ("compression.type", "compression.codec")
        )
        self._admin: AdminClient | None = None
        self._known: dict[str, int | None] = {}

    def suspects(self, rows: Rows) -> Rows:
        """Those that are worth a look; this runs for every event."""
        suspect = self._suspect
        return [row for row in rows if row[6] is not None and len(row[6]) > suspect]

    def why_too_large(self, row: Row, headers: Headers) -> str | None:
        """What is wrong with the size of an event; None if nothing is known to be."""
        plain = len(row[6] or b"") + len((row[3] or "").encode())
        if plain > self._client_max:
            return f"{plain} bytes, and the client's message.max.bytes is {self._client_max}"
        size, topic = record_bytes_min(row, headers), row[2]
        if self._compresses or not self._exceeds(topic, size):
            return None
        self._ask({topic})
        if not self._exceeds(topic, size):
            return None
        return f"{size} bytes, and the topic's {_LIMIT} is {self._known[topic]}"

    def learn(self, topics: set[str]) -> None:
        """Ask for the limits that are not known yet, in one request for all."""
        if not self._compresses and (unknown := topics - self._known.keys()):
            self._ask(unknown)

    def forget(self) -> None:
        """Ask the topics anew, by a client that knows the password of today."""
        self._known.clear()
        self._admin = None

    def _exceeds(self, topic: str, size: int) -> bool:
        limit = self._known.get(topic)
        return limit is not None and size > limit

    def _ask(self, topics: set[str]) -> None:
        """Note the limit of each; None where the broker does not tell, or not in time."""
        if self._admin is None:
            configuration: dict[str, Any] = {**self._properties, "logger": SILENT}
            self._admin = AdminClient(configuration)
        self._known.update(dict.fromkeys(topics))
        resources = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in topics]
        answers = self._admin.describe_configs(resources, request_timeout=DESCRIBE_TIMEOUT_S)
        in_time, _ = wait(answers.values(), DESCRIBE_TIMEOUT_S)
        for resource, answer in answers.items():
            if answer in in_time:
                with suppress(KafkaException, KeyError, ValueError):
                    self._known[resource.name] = int(answer.result()[_LIMIT].value)


def record_bytes_min(row: Row, headers: Headers) -> int:
    """The least that an event can be alone in a batch, uncompressed: the broker judges no less."""
    texts = sum(
        len(name.encode()) + len(value.encode() if isinstance(value, str) else value or b"")
        for name, value in headers
    )
    overhead = BATCH_BYTES + RECORD_BYTES + HEADER_BYTES * len(headers)
    return overhead + texts + len(row[6] or b"") + len((row[3] or "").encode())
