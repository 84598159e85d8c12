"""Events to Kafka: an idempotent producer, a page at a time, flushed before the next.

The idempotent producer and the gapless guarantee together mean that of one attempt each partition
receives a prefix: what fails stops everything behind it, once the partition knows the producer
(`partitions.py`). After any failure the producer is thrown away with all that it still holds, and
the same events are sent again by a new one from the first; what had arrived is a duplicate with the
same id, and never comes between events that arrive for the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from relay.core.envelope import Envelope, Headers
from relay.core.envelope import envelope as cloudevents
from relay.core.inputs import Acked, Doubtful, Input, Lost, Recovered, Refused, Row, Rows, position
from relay.core.reached import Reached
from relay.errors import Unreachable
from relay.kafka.certificates import Certificates
from relay.kafka.client_state import ClientState
from relay.kafka.credentials import Credentials
from relay.kafka.error_codes import RAISED, error_of, is_of_topic, is_passing, refusal
from relay.kafka.limits import Limits
from relay.kafka.partitions import KNOWN_FOR_S, Partitions
from relay.kafka.properties import SILENT
from relay.kafka.retired import retire
from relay.kafka.topics import TopicMaker

__all__ = ["ASK_EVERY_S", "Failure", "KafkaSink"]

ASK_EVERY_S = 0.1
REPORTS_ASKED_MAX = 10

Failure = tuple[KafkaError, str | None]
"""What went wrong, and with an event of which topic, if with an event."""

_PURGED = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)


class KafkaSink:
    """See Sink. One producer lives as long as nothing fails, longer than a term if need be."""

    def __init__(
        self,
        properties: Mapping[str, str | int | bool],
        source: str,
        clock: Callable[[], float],
        on_trouble: Callable[[str], None],
        topics: TopicMaker | None = None,
        envelope: Envelope = cloudevents,
    ) -> None:
        """`on_trouble` is told, in words, what the client says of its connections; `topics` makes
        those that are missing; `envelope` makes the headers of the events.

        The producer is made at once: while the relay stands by it gets the broker's producer id,
        for which the client lets half a second pass, so a takeover need not wait for it.
        """
        self._properties = properties
        self._source = source
        self._epoch = ""
        self._clock = clock
        self._on_trouble = on_trouble
        self._form = envelope
        self._failures: list[Failure] = []
        # Whether the broker was asked for something, and has not done it yet.
        self._unanswered = False
        self._topics = topics
        self.client = ClientState()
        self._limits = Limits(self._properties)
        self._certificates = Certificates(properties, clock)
        self._make_producer()

    def enter(self, epoch: str, outbox: str) -> None:
        """Events belong to `epoch` from here on, and to `outbox`, which no failover renames."""
        self._epoch = epoch

    def recover(self, keep_going: Callable[[], bool]) -> Input:
        """See Sink.recover."""
        return Recovered()

    def send(
        self, rows: Rows, number: int, reached: Reached, keep_going: Callable[[], bool]
    ) -> Input:
        """See Sink.send."""
        self.client.begins()
        self._unanswered = True
        try:
            if self._clock() - self._partitions_of_s > KNOWN_FOR_S:
                self._forget_partitions()
            if refused := self._topics_refused(rows, keep_going):
                return refused
            if too_large := self._too_large(rows, number):
                return too_large
            # Asking took up to two seconds, in which the lease may have ended.
            if not keep_going():
                return Lost()
            if self._published(rows, number, reached, keep_going):
                self.client.broker_up, self._unanswered = True, False
                return Acked()
        except RAISED as problem:
            # Of one event at once (too large for the client), or a fatal error that flush raises.
            self._failures.append((error_of(problem), None))
        failed = bool(self._failures)
        failures = self._given_up()
        if not failed:
            return Lost()
        return self._outcome(failures, rows)

    def serve(self) -> None:
        """See Sink.serve."""
        with suppress(*RAISED):
            self._producer.poll(0)
        self._credentials.renew(self._producer)

    def discard(self) -> None:
        """See Sink.discard."""
        if len(self._producer):
            self._given_up()

    def _given_up(self) -> list[Failure]:
        """Throw the producer away; all that failed, but for what was only given up here."""
        if any(error.fatal() for error, _ in self._failures):
            self._await_reports()
        failures = self._purged()
        self._replace_producer()
        return failures

    def _replace_producer(self) -> None:
        """Make another; the one before ends apart (retired.py)."""
        retired = [self._producer]
        try:
            self._make_producer()
        except KafkaException as problem:
            # A certificate that is being renewed, half written or before its key: that passes.
            raise Unreachable(f"the client cannot be made: {problem.args[0].str()}") from None
        retire(retired)

    def _purged(self, *, in_flight: bool = True) -> list[Failure]:
        """Empty the client's queues; all that failed, but for what was only given up here."""
        for serve in (
            partial(self._producer.purge, in_flight=in_flight, blocking=True),
            partial(self._producer.poll, 0),
        ):
            with suppress(*RAISED):
                serve()
        return [failure for failure in self._failures if failure[0].code() not in _PURGED]

    def _await_reports(self) -> None:
        """Let the client say which event was refused, and why.

        It raises the fatal error of a gap first, and tells the error that caused it later; purged
        now, that event would be reported as purged only.
        """
        for _ in range(REPORTS_ASKED_MAX):
            if not all(error.fatal() for error, _ in self._failures):
                return
            with suppress(*RAISED):
                self._producer.poll(ASK_EVERY_S)

    def _make_producer(self) -> None:
        # In place: of the one before, which stays when another cannot be made.
        self._failures.clear()
        failures: list[Failure] = []
        callbacks = {
            "error_cb": partial(self._note_error, failures),
            "on_delivery": partial(_note_failure, failures),
        }
        credentials = Credentials(self._properties)
        self._producer = Producer({**self._given_properties(), **callbacks, "logger": SILENT})
        self._failures, self._credentials = failures, credentials
        self.client.producer = self._producer
        self._forget_partitions()

    def _given_properties(self) -> Mapping[str, str | int | bool]:
        return self._properties

    def _forget_partitions(self) -> None:
        self._limits.forget()
        self._partitions = Partitions(self._producer)
        self._partitions_of_s = self._clock()

    def _topics_refused(self, rows: Rows, keep_going: Callable[[], bool]) -> Input | None:
        """The first topic that will not have its events; those that are missing may be made."""
        made: set[str] = set()
        while refused := self._partitions.refused(rows):
            error, topic = refused
            if self._topics is None or topic in made or not is_passing(error):
                return self._outcome([refused], rows)
            if problem := self._topics.make(topic):
                return Refused(f"it could not be created: {problem}", topic, passing=True)
            made.add(topic)
            self._await_topic(topic)
            if not keep_going():
                return Lost()
        return None

    def _await_topic(self, topic: str) -> None:
        """A topic that was just made is known to the broker that is asked a moment later."""
        for _ in range(REPORTS_ASKED_MAX):
            if self._partitions.knows(topic):
                return
            self._producer.poll(ASK_EVERY_S)

    def _too_large(self, rows: Rows, number: int) -> Refused | None:
        """The first event that is known to be too large, while nothing is handed over."""
        suspects = self._limits.suspects(rows)
        if suspects:
            self._limits.learn({row[2] for row in suspects})
            headers_of = self._envelope(number)
            for row in suspects:
                if why := self._limits.why_too_large(row, headers_of(row)):
                    return Refused(f"too large: {why}", position=position(row))
        return None

    def _published(
        self, rows: Rows, number: int, reached: Reached, keep_going: Callable[[], bool]
    ) -> bool:
        first = self._partitions.first_of_each(rows)
        if first:
            alone = list(first.values())
            if not self._delivered(alone, number, keep_going):
                return False
            self._partitions.know(alone)
            rows = [row for row in rows if position(row) not in first]
        return self._delivered(rows, number, keep_going)

    def _delivered(self, rows: Rows, number: int, keep_going: Callable[[], bool]) -> bool:
        if not self._hand_over(rows, number, keep_going):
            return False
        self.client.handed_over(rows)
        return self._flushed(keep_going)

    def _hand_over(self, rows: Rows, number: int, keep_going: Callable[[], bool]) -> bool:
        headers_of = self._envelope(number)
        produce = self._producer.produce
        for row in rows:
            _, event_id, topic, key, _, _, payload, _, _ = row
            partition = -1 if key is not None else self._partitions.of_keyless(topic, event_id)
            while True:
                try:
                    produce(topic, payload, key, partition, headers=headers_of(row))
                    break
                except BufferError:
                    # Full. Not poll(): it returns early for failures only, and the linger passes.
                    self._producer.flush(ASK_EVERY_S)
                    if self._failures or not keep_going():
                        return False
        return True

    def _envelope(self, number: int) -> Callable[[Row], Headers]:
        return self._form(self._source, self._epoch, number)

    def _flushed(self, keep_going: Callable[[], bool]) -> bool:
        while self._producer.flush(ASK_EVERY_S):
            self._credentials.renew(self._producer)
            if self._failures or not keep_going():
                return False
        return not self._failures

    def _note_error(self, failures: list[Failure], error: KafkaError) -> None:
        """A fatal error ends the producer even when no message has failed yet."""
        if failures is not self._failures:
            return  # Of a producer that is retired: nobody's trouble any more.
        if error.fatal():
            failures.append((error, None))
        self._credentials.note_trouble()
        if error.code() == KafkaError._ALL_BROKERS_DOWN and not self._unanswered:
            return  # Brokers close connections that are idle (connections.max.idle.ms).
        self.client.note(error)
        self._on_trouble(self._certificates.explained(error.str()))

    def _outcome(self, failures: list[Failure], rows: Rows) -> Input:
        """What the machine is told of failures: one refusal among them explains the others.

        `rows` are those that were sent.
        """
        for error, topic in failures:
            if reason := refusal(error):
                self._unanswered = False
                of_topic = topic if is_of_topic(error) else None
                return Refused(reason, of_topic, passing=is_passing(error))
        return Doubtful(failures[0][0].str())


def _note_failure(failures: list[Failure], error: KafkaError | None, message: Message) -> None:
    if error is not None:
        failures.append((error, message.topic()))
