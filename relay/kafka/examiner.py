"""What `relay doctor` asks the broker. Nothing is made and nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, and not in its __all__
    AdminClient,
    ConfigResource,
)

from relay.core.topic_checks import Topic
from relay.errors import Unreachable
from relay.kafka.certificates import Certificates
from relay.kafka.properties import SILENT, Properties

__all__ = ["BrokerExaminer"]

ASK_TIMEOUT_S = 5.0


class BrokerExaminer:
    """Asks one cluster, as the client that the relay is; each method raises Unreachable."""

    def __init__(self, properties: Properties, clock: Callable[[], float]) -> None:
        self._trouble = ""
        self._clock = clock
        self._certificates = Certificates(properties, clock)
        configuration: dict[str, Any] = {**properties, "logger": SILENT, "error_cb": self._note}
        self._admin = AdminClient(configuration)

    def reach(self) -> tuple[int, float]:
        """How many brokers there are, and seconds until one answered that was connected before."""
        self._listed()
        began_s = self._clock()
        brokers = len(self._listed().brokers)
        return brokers, self._clock() - began_s

    def topics(self, names: Iterable[str]) -> Mapping[str, Topic]:
        """Those of `names` that are there.

        All are listed, since a broker may create a topic that is asked for by its name.
        """
        listed = self._listed().topics
        there = sorted(name for name in names if name in listed)
        settings, operations = self._settings(there), self._operations(there)
        return {
            name: Topic(
                name,
                len(listed[name].partitions),
                min((len(one.replicas) for one in listed[name].partitions.values()), default=0),
                min((len(one.isrs) for one in listed[name].partitions.values()), default=0),
                settings.get(name),
                operations.get(name),
            )
            for name in there
        }

    def _listed(self) -> Any:
        try:
            return self._admin.list_topics(timeout=ASK_TIMEOUT_S)
        except KafkaException as problem:
            self._admin.poll(0)  # what the client has to say of it comes by a callback
            reason = self._trouble or problem.args[0].str()
            raise Unreachable(f"broker: {reason}") from None

    def _settings(self, names: list[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        asked = self._admin.describe_configs(resources, request_timeout=ASK_TIMEOUT_S)
        told = _in_time({resource.name: answer for resource, answer in asked.items()})
        return {
            name: {key: str(one.value) for key, one in settings.items() if one.value is not None}
            for name, settings in told.items()
        }

    def _operations(self, names: list[str]) -> dict[str, frozenset[str]]:
        if not names:
            return {}
        asked = self._admin.describe_topics(
            TopicCollection(names),
            include_authorized_operations=True,
            request_timeout=ASK_TIMEOUT_S,
        )
        return {
            name: frozenset(one.name for one in topic.authorized_operations)
            for name, topic in _in_time(asked).items()
            if topic.authorized_operations
        }

    def _note(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # which does not say why
            self._trouble = self._certificates.explained(error.str())


def _in_time(asked: Mapping[str, Future[Any]]) -> dict[str, Any]:
    """The answers that came; none where the broker does not tell."""
    wait(asked.values(), ASK_TIMEOUT_S)
    return {
        name: answer.result()
        for name, answer in asked.items()
        if answer.done() and answer.exception() is None
    }
