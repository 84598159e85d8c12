"""What can be asked of the client while it sends, in any thread: for metrics and probes.

Whether a broker answers is told by what happens anyway: an acknowledgement says yes, the client's
own word that all its connections are down says no. Nothing says yes again while nothing is sent, so
then it is asked; and only then, as the answer lists all topics.
"""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException, Producer

from relay.core.inputs import Rows

__all__ = ["ClientState"]

ASK_TIMEOUT_S = 1.0


class ClientState:
    """Of the producer that a sink has at present."""

    def __init__(self) -> None:
        self.producer: Producer | None = None
        self.broker_up: bool | None = None
        """Whether a broker answered when last heard of; None: not heard of yet."""
        self._events = self._bytes = 0

    @property
    def queued(self) -> int:
        """Events that the client has not told the outcome of."""
        producer = self.producer
        return 0 if producer is None else len(producer)

    @property
    def handed(self) -> tuple[int, int]:
        """Events, and bytes of their payloads, that were handed over since `begins`."""
        return self._events, self._bytes

    @property
    def in_flight(self) -> tuple[int, int]:
        """The same, while the client waits for an outcome; else none."""
        return self.handed if self.queued else (0, 0)

    def begins(self) -> None:
        """A page is about to be sent."""
        self._events = self._bytes = 0

    def handed_over(self, rows: Rows) -> None:
        """These are with the client. They are counted while it sends, so it delays none of them."""
        self._bytes += sum([len(row[6]) for row in rows if row[6]])
        self._events += len(rows)

    def note(self, error: KafkaError) -> None:
        """What the client says of its connections."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.broker_up = False

    def ask_broker(self) -> None:
        """See whether one answers, within a second."""
        producer = self.producer
        if producer is None:
            return
        try:
            producer.list_topics(timeout=ASK_TIMEOUT_S)
        except KafkaException:
            self.broker_up = False
        else:
            self.broker_up = True
