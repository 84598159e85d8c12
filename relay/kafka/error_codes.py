"""What a broker's answer means for the event it was given to: one table.

Everything that is not listed is in doubt: the event may have arrived or may still arrive, or the
trouble passes. That is the safe reading, since a doubtful event is sent again, with the same id,
before anything behind it.
"""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

__all__ = ["RAISED", "error_of", "is_of_topic", "is_passing", "refusal"]

RAISED = (KafkaException, SystemError)
"""What the client raises. A fatal error that it raises while one of our callbacks runs becomes the
cause of a SystemError."""

_REFUSALS = {
    KafkaError.MSG_SIZE_TOO_LARGE: "larger than the broker or the topic allows (max.message.bytes)",
    KafkaError.INVALID_MSG_SIZE: "larger than the broker allows (message.max.bytes)",
    KafkaError.RECORD_LIST_TOO_LARGE: "larger than a log segment of the topic (segment.bytes)",
    KafkaError.TOPIC_EXCEPTION: "the broker does not allow the name of the topic",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "not authorised to write to the topic",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "not authorised to write to the cluster",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "the topic does not exist; it is not created by accident",
    KafkaError._UNKNOWN_TOPIC: "the topic does not exist; it is not created by accident",
    KafkaError._UNKNOWN_PARTITION: "the partition does not exist",
    KafkaError.INVALID_RECORD: "invalid to the broker (a compacted topic needs a key)",
    KafkaError.POLICY_VIOLATION: "a policy of the broker forbids it",
}


_OF_TOPIC = (
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
)


def is_of_topic(error: KafkaError) -> bool:
    """Whether every event of the topic is refused, and not the one event or its batch."""
    return error.code() in _OF_TOPIC


_PASSING = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    # Every topic is refused, so it says nothing of the event.
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)


def is_passing(error: KafkaError) -> bool:
    """Whether the event is good and waits for what is missing, so that it must not be parked."""
    return error.code() in _PASSING


def refusal(error: KafkaError) -> str | None:
    """Why the broker will not take the event as things stand, or None when the outcome is only in
    doubt.
    """
    return _REFUSALS.get(error.code())


def error_of(problem: Exception) -> KafkaError:
    """What an error of RAISED is about; a SystemError that is not the client's is raised again."""
    found = problem if isinstance(problem, KafkaException) else problem.__cause__
    if not isinstance(found, KafkaException):
        raise problem
    error: KafkaError = found.args[0]
    return error
