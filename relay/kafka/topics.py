"""Topics that are missing are created where the operator said so, and never by accident.

A typing error in a topic's name would else become a topic, with a number of partitions that nobody
chose and that cannot be changed without moving keys. So `--create-topics` is off by default, and
says how many partitions and replicas, or that the broker's own defaults are meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, and not in its __all__
    AdminClient,
    NewTopic,
)

from relay.kafka.properties import SILENT

__all__ = ["TopicMaker", "Topics"]

LOOK_TIMEOUT_S = 5.0

CREATE_TIMEOUT_S = 1.0
"""Within the lease's margin, as for the metadata: no event is handed over meanwhile."""


class TopicMaker:
    """Creates topics of one shape."""

    def __init__(
        self, properties: Mapping[str, str | int | bool], partitions: int, replication: int
    ) -> None:
        """`partitions`, `replication`: 1 or more, or -1 for the broker's own (since Kafka 2.4)."""
        self._properties = properties
        self._partitions = partitions
        self._replication = replication
        self._admin: AdminClient | None = None

    def make(self, topic: str) -> str | None:
        """Create a topic; what the broker says against it, None if it is there now."""
        if self._admin is None:
            configuration: dict[str, Any] = {**self._properties, "logger": SILENT}
            self._admin = AdminClient(configuration)
        wanted = NewTopic(topic, self._partitions, self._replication)
        asked = self._admin.create_topics([wanted], operation_timeout=CREATE_TIMEOUT_S)
        try:
            asked[topic].result(CREATE_TIMEOUT_S)
        except TimeoutError:
            self._admin = None  # the next one knows the password of that day
            return "the broker has not answered yet"
        except KafkaException as problem:
            error: KafkaError = problem.args[0]
            return None if error.code() == KafkaError.TOPIC_ALREADY_EXISTS else error.str()
        return None


class Topics:
    """Which topics there are, for those whose events wait until their topic is there."""

    def __init__(
        self, properties: Mapping[str, str | int | bool], maker: TopicMaker | None
    ) -> None:
        """`maker` makes those that are missing; without it they are only looked for."""
        self._properties = properties
        self._maker = maker

    def there(self, topics: frozenset[str]) -> frozenset[str]:
        """Those of `topics` that exist; none when the broker does not answer.

        All are listed, since a broker may create a topic that is asked for by its name.
        """
        configuration: dict[str, Any] = {**self._properties, "logger": SILENT}
        try:
            known = AdminClient(configuration).list_topics(timeout=LOOK_TIMEOUT_S).topics.keys()
        except KafkaException:
            return frozenset()
        make = self._maker.make if self._maker else str
        return frozenset(topic for topic in topics if topic in known or make(topic) is None)
