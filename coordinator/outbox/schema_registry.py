"""A payload that a Schema Registry knows, made while the event is: a schema error fails the caller.

Naive: the relay serializes when it publishes. An event that breaks its schema is then found out
when its transaction has long been committed, stands in the way of the later events of its key, and
nobody is left to mend it. Here it is one more refusal before anything is written.

The one module of the writer's side that needs the Kafka client (extra `registry`), so no other
imports it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext, SerializationError

from coordinator.errors import BadInput, InvalidEvent, SchemaRegistryAway
from coordinator.validation import check_topic

__all__ = ["RegisteredSchema"]

# Types of our own: all three begin with the registry's frame (a zero byte and the schema's id), so
# a reader who believed `application/json` could not parse them.
_CONTENT_TYPES = {
    "AvroSerializer": "application/vnd.confluent.avro",
    "JSONSerializer": "application/vnd.confluent.json-schema",
    "ProtobufSerializer": "application/vnd.confluent.protobuf",
}

# Said by the registry of itself; other codes are about the schema.
_AWAY_FROM_STATUS = 500
_AWAY_STATUS = frozenset({408, 429})

# The end of fastavro's messages: a name of the schema's, never a value.
_AVRO_FIELD = re.compile(r"(?:on field|no default for) ([A-Za-z_][A-Za-z0-9_.]*)$")


class RegisteredSchema:
    """Makes payloads of one topic; give it to `OutboxEvent.of` as `serializer`.

    The serializer keeps the id of a schema that it has seen. The first event of a schema asks the
    registry, so make one before a transaction is open, or before an event loop runs.

    Attributes:
        topic: whose values these are; the event's topic must be the same.
        content_type: of the payloads.
    """

    def __init__(
        self, serializer: Callable[[Any, SerializationContext], bytes | None], *, topic: str
    ) -> None:
        """Wire it.

        Args:
            serializer: an AvroSerializer, JSONSerializer or ProtobufSerializer of confluent-kafka.
                The schema's id stands in the payload, as is its default, not in a header. It
                decides what fits: a JSONSerializer takes NaN, which is no JSON, unless it is given
                a `json_encode` that refuses it.
            topic: its name is a part of the schema's subject.

        Raises:
            InvalidEvent: Kafka would refuse `topic`.
            BadInput: `serializer` is none of these.
        """
        check_topic(topic)
        names = [base.__name__ for base in type(serializer).__mro__]
        kind = next((name for name in names if name in _CONTENT_TYPES), None)
        if kind is None:
            raise BadInput(
                "serializer", f"must be one of {', '.join(_CONTENT_TYPES)}, not {names[0]}"
            )
        self.topic = topic
        self.content_type = _CONTENT_TYPES[kind]
        self._serializer = serializer

    def __call__(self, data: Any) -> bytes:
        """Return `data` as its schema has it, behind the registry's frame.

        Raises:
            InvalidEvent: it does not fit, or the registry refuses the schema; the error names the
                field where the serializer does, and never a value.
            SchemaRegistryAway: nobody answered; the same call may succeed later.
        """
        try:
            payload = self._serializer(data, SerializationContext(self.topic, MessageField.VALUE))
        except SchemaRegistryError as error:
            raise _of_the_registry(error) from None
        except (SerializationError, ValueError, TypeError, OverflowError) as error:
            # Their messages quote the data.
            raise _misfit(error) from None
        except Exception as error:
            if _is_of_the_network(error):
                raise SchemaRegistryAway(type(error).__name__) from error
            raise
        if payload is None:
            raise InvalidEvent("data", "must not be None: OutboxEvent.tombstone has no payload")
        return payload


def _of_the_registry(error: SchemaRegistryError) -> InvalidEvent | SchemaRegistryAway:
    status = error.http_status_code
    if status >= _AWAY_FROM_STATUS or status in _AWAY_STATUS:
        return SchemaRegistryAway(f"HTTP {status}")
    return InvalidEvent(
        "data", f"the Schema Registry refuses its schema (HTTP {status}, code {error.error_code})"
    )


def _misfit(error: Exception) -> InvalidEvent:
    place = _place(error)
    kind = type(error.__context__ or error).__name__
    return InvalidEvent(f"data.{place}" if place else "data", f"does not fit its schema ({kind})")


def _place(error: Exception) -> str:
    """Where it does not fit, in the schema's own words; those of the data may be a customer's."""
    rule = getattr(error.__context__, "absolute_schema_path", None)
    if rule is not None:
        return ".".join(str(word) for word in rule)
    named = _AVRO_FIELD.search(str(error))
    return named[1] if named else ""


def _is_of_the_network(error: Exception) -> bool:
    # The HTTP client is another one in other releases of confluent-kafka: requests raises OSErrors.
    return isinstance(error, OSError) or type(error).__module__.startswith("httpx")
