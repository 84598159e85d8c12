"""Events to Kafka: an idempotent producer, a page at a time, flushed before the next.

The idempotent producer and the gapless guarantee together mean that of one attempt each partition
receives a prefix:
what fails stops everything behind it. After any failure the producer is thrown away with all that
it still holds, and the same events are sent again by a new one from the first; what had arrived is
a duplicate with the same id, and never comes between events that arrive for the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from relay.core.envelope import envelope
from relay.core.inputs import Acked, Doubtful, Input, Lost, Refused, Rows
from relay.kafka.error_codes import refusal
from relay.kafka.properties import SILENT

__all__ = ["KafkaSink"]

ASK_EVERY_S = 0.1

_PURGED = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)


class KafkaSink:
    """See Sink. One producer lives as long as nothing fails."""

    def __init__(
        self,
        properties: Mapping[str, str | int | bool],
        source: str,
        epoch: str,
        on_trouble: Callable[[str], None],
    ) -> None:
        """`on_trouble` is told, in words, what the client says of its connections."""
        self._properties = dict(properties)
        self._source = source
        self._epoch = epoch
        self._on_trouble = on_trouble
        self._producer: Producer | None = None
        self._failures: list[KafkaError] = []

    def send(self, rows: Rows, number: int, keep_going: Callable[[], bool]) -> Input:
        """See Sink.send."""
        try:
            producer = self._producer or self._new_producer()
            handed_over = self._hand_over(producer, rows, number, keep_going)
            if handed_over and self._flushed(producer, keep_going):
                return Acked()
        except KafkaException as problem:
            # Of one event at once (too large for the client), or a fatal error that flush raises.
            self._failures.append(problem.args[0])
        failed = bool(self._failures)
        failures = self._given_up()
        if not failed:
            return Lost()
        reason = next((why for error in failures if (why := refusal(error))), None)
        return Refused(reason) if reason else Doubtful(failures[0].str())

    def discard(self) -> None:
        """See Sink.discard."""
        self._given_up()

    def _given_up(self) -> list[KafkaError]:
        """Throw the producer away; all that failed, but for what was only given up here.

        The client raises the fatal error of a gap as soon as there is one, before it has told which
        event was refused and why; that comes with the reports of what is purged.
        """
        if self._producer is not None:
            producer, self._producer = self._producer, None
            for serve in (partial(producer.purge, blocking=True), partial(producer.poll, 0)):
                with suppress(KafkaException):
                    serve()
        failures, self._failures = self._failures, []
        return [error for error in failures if error.code() not in _PURGED]

    def _new_producer(self) -> Producer:
        self._failures = []
        callbacks = {"error_cb": self._note_error, "on_delivery": self._note_failure}
        self._producer = Producer({**self._properties, **callbacks, "logger": SILENT})
        return self._producer

    def _hand_over(
        self, producer: Producer, rows: Rows, number: int, keep_going: Callable[[], bool]
    ) -> bool:
        headers_of = envelope(self._source, self._epoch, number)
        produce = producer.produce
        for row in rows:
            while True:
                try:
                    produce(row[2], row[6], row[3], headers=headers_of(row))
                    break
                except BufferError:
                    producer.poll(ASK_EVERY_S)
                    if self._failures or not keep_going():
                        return False
        return True

    def _flushed(self, producer: Producer, keep_going: Callable[[], bool]) -> bool:
        while producer.flush(ASK_EVERY_S):
            if self._failures or not keep_going():
                return False
        return not self._failures

    def _note_failure(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failures.append(error)

    def _note_error(self, error: KafkaError) -> None:
        """A fatal error ends the producer even when no message has failed yet."""
        if error.fatal():
            self._failures.append(error)
        self._on_trouble(error.str())
