"""The ready loop: reads topics as a member of a group, and hands each record to a handler once.

    consumer = Consumer(
        engine, consumer="billing", topics=["orders"], handler=bill, bootstrap_servers="kafka:9092"
    )
    signal.signal(signal.SIGTERM, lambda *_: consumer.stop())
    consumer.run()

What is authoritative is the database: `handling` commits what the handler did and the memory's note
in one transaction. The offsets in Kafka come after it and are a convenience, to start near where it
ended. So each failure is one of two:

- before the commit of the database: nothing has happened, and the records come again;
- after it, whatever becomes of the offsets: the records may come again, and the memory drops them.

That covers a kill, a rebalance and a zombie. A zombie (a member that was silent for too long, whose
partitions went to another) has records in hand that the other one reads too. For each event one of
the two waits for the other's commit and then finds it taken. Each of them goes through a partition
in order and passes a record only when it is taken, so of one key a later event never comes first.

The client sends heartbeats in a thread of its own, but counts a member as dead that does not ask
for records for `max.poll.interval.ms` (5 minutes). So the loop goes on asking, with its partitions
paused, while it waits between two attempts; and the size of a batch follows the handler's speed: it
doubles while batches take less than a second, and halves when they take longer. A handler that
needs longer than that interval for one record is safe but in vain: the offsets are not kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Final

import confluent_kafka
from confluent_kafka import KafkaException, Message, TopicPartition
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from coordinator.errors import BadInput
from coordinator.inbox.handling import HandlerFailed, Patience, RecordHandling, each, whole
from coordinator.inbox.ids import Ids
from coordinator.inbox.memory import Memory, Record
from coordinator.inbox.parking import reason_of
from coordinator.inbox.properties import client_properties, refused
from coordinator.inbox.release import handle_released
from coordinator.transient import is_transient
from coordinator.validation import check_name, check_topic

__all__ = ["Consumer"]

_log: Final = logging.getLogger("coordinator.inbox")
# The client's own lines, which it would else write to standard error.
_client_log: Final = logging.getLogger("coordinator.inbox.librdkafka")

_POLL_S: Final = 0.1
_BATCH_FIRST: Final = 100
_BATCH_MAX: Final = 5_000
_BATCH_TARGET_S: Final = 1.0
_RELEASED_EVERY_S: Final = 1.0
# Then it asks for records again, to stay a member of the group.
_RELEASED_AT_ONCE: Final = 100
_TIDY_EVERY_S: Final = 3_600.0


class _Stopped(Exception):
    """Asked to stop while it waited between two attempts."""


class Consumer:
    """A member of a consumer group; each record takes effect once, in order of its key.

    Args:
        engine: of the database that holds the inbox and what the handler writes.
        consumer: the name of the memory, 1 to 255 characters. It outlives the group: keep it.
        topics: at least one.
        handler: called as `handler(session, record)` in an open transaction; it neither commits nor
            rolls back. It may be called again for a record whose transaction failed, so effects
            outside of the session can happen more than once.
        batch_handler: instead of `handler`, called as `batch_handler(session, records)`.
        bootstrap_servers: `host:port[,host:port...]`.
        group_id: None is the consumer's name.
        memory: which events were taken; None is `Ids()`.
        properties: of librdkafka, except those that would break the above.
        patience: how long a record that its handler refuses is tried again before it is parked.
        batch_max: the most records in one transaction, at least 1.

    Raises:
        BadInput: an argument or a property.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        consumer: str,
        topics: Sequence[str],
        handler: Callable[[Session, Record], object] | None = None,
        batch_handler: Callable[[Session, Sequence[Record]], object] | None = None,
        bootstrap_servers: str,
        group_id: str | None = None,
        memory: Memory | None = None,
        properties: Mapping[str, Any] | None = None,
        patience: Patience | None = None,
        batch_max: int = _BATCH_MAX,
    ) -> None:
        _check(consumer, topics, batch_max)
        if (handler is None) == (batch_handler is None):
            raise BadInput("handler", "give either handler or batch_handler")
        self._handle = each(handler) if handler else whole(batch_handler)  # type: ignore[arg-type]  # one of them is there
        self._engine = engine
        self._name = consumer
        self._topics = list(topics)
        self._memory = memory or Ids()
        self._handling = RecordHandling(
            engine,
            consumer=consumer,
            memory=self._memory,
            handle=self._handle,
            patience=patience or Patience(),
            pause=self._pause,
            is_ours=self._is_ours,
        )
        self._batch_max = batch_max
        self._batch = min(_BATCH_FIRST, batch_max)
        self._stopping = False
        # Read and not yet in hand. Between two attempts the loop asks on, and a rebalance may bring
        # a partition just then.
        self._read: list[Record] = []
        # Partitions that went to another member while a batch was in hand.
        self._gone: set[tuple[str, int]] = set()
        self._next_look = self._next_tidying = monotonic()
        self._kafka = _client(bootstrap_servers, group_id or consumer, properties or {})

    def run(self) -> None:
        """Consume until `stop`: the batch in hand is finished, and the group is left. Call it once.

        Raises:
            WrongUse: the handler ended the transaction.
            SQLAlchemyError: the database refuses the inbox itself (schema, privileges).
            KafkaException: the client cannot go on.
        """
        self._kafka.subscribe(self._topics, on_assign=_joined, on_revoke=self._left)
        try:
            while not self._stopping:
                self._look_after_the_inbox()
                self._finish(self._next_batch())
        except _Stopped:
            _log.info("stopped with records in hand; they come again")
        finally:
            self._kafka.close()  # waits for the offsets that are on their way

    def stop(self) -> None:
        """Have `run` return soon; may be called from a signal handler or another thread."""
        self._stopping = True

    @property
    def replays_skipped(self) -> int:
        """How many records were skipped so far as they were replayed for another consumer."""
        return self._handling.replays_skipped

    def _next_batch(self) -> list[Record]:
        if not self._read:
            self._keep(self._kafka.poll(_POLL_S))
        if self._read and (more := self._batch - len(self._read)) > 0:
            # Only what is here already: with a timeout it would wait until the batch is full.
            for message in self._kafka.consume(more, 0):
                self._keep(message)
        batch, self._read = self._read, []
        self._gone.clear()
        return batch

    def _finish(self, batch: list[Record]) -> None:
        if not batch:
            return
        began = monotonic()
        self._handling.finish(batch)
        self._save_offsets(batch)
        if monotonic() - began > _BATCH_TARGET_S:
            self._batch = max(1, self._batch // 2)
        elif len(batch) >= self._batch:
            self._batch = min(self._batch_max, self._batch * 2)

    def _save_offsets(self, batch: list[Record]) -> None:
        # A partition that has gone is left out: a part of its records was not handled here.
        ends = {(one.topic, one.partition): one.offset + 1 for one in batch if self._is_ours(one)}
        offsets = [TopicPartition(topic, number, end) for (topic, number), end in ends.items()]
        if offsets:
            # Refused after a rebalance: whoever has the partition now reads these records again.
            with suppress(KafkaException):
                self._kafka.commit(offsets=offsets, asynchronous=True)

    def _keep(self, message: Message | None) -> None:
        if message is None:
            return
        if (error := message.error()) is not None:
            if error.fatal():
                raise KafkaException(error)
            _log.warning("broker: %s", error.str())
            return
        self._read.append(_record(message))

    def _pause(self, seconds: float) -> None:
        """Wait between two attempts, and stay a member of the group."""
        until = monotonic() + seconds
        # A partition that is taken away keeps its pause, and would bring it back some day: so all
        # that were paused are resumed, and not only those that are assigned at the end.
        paused: list[TopicPartition] = []
        try:
            while (left := until - monotonic()) > 0:
                if self._stopping:
                    raise _Stopped
                assigned = self._kafka.assignment()
                self._kafka.pause(assigned)
                paused += assigned
                self._keep(self._kafka.poll(min(left, _POLL_S)))
        finally:
            self._kafka.resume(paused)

    def _left(self, _: confluent_kafka.Consumer, partitions: list[TopicPartition]) -> None:
        # Called within poll() and consume() only, so never while a transaction is open.
        left = {(one.topic, one.partition) for one in partitions}
        self._gone |= left
        self._read = [one for one in self._read if (one.topic, one.partition) not in left]
        _log.info("left %d partitions", len(left))

    def _is_ours(self, record: Record) -> bool:
        return (record.topic, record.partition) not in self._gone

    def _look_after_the_inbox(self) -> None:
        """Handle what was released, and let the memory forget, when it is time."""
        now = monotonic()
        try:
            if now >= self._next_look:
                self._next_look = now + _RELEASED_EVERY_S
                handle_released(
                    self._engine, self._name, self._handle, records_max=_RELEASED_AT_ONCE
                )
            if now >= self._next_tidying:
                self._next_tidying = now + _TIDY_EVERY_S
                with Session(self._engine) as session, session.begin():
                    self._memory.tidy(session)
        except (SQLAlchemyError, HandlerFailed) as error:
            if not is_transient(error):
                raise
            _log.warning("inbox: %s; looked after later", reason_of(error.__cause__ or error))


def _record(message: Message) -> Record:
    return Record(
        message.topic(),  # type: ignore[arg-type]  # a record that was consumed has a place
        message.partition(),  # type: ignore[arg-type]  # as above
        message.offset(),  # type: ignore[arg-type]  # as above
        message.key(),
        message.value(),
        message.headers() or (),  # type: ignore[arg-type]  # a list, as it was consumed
        message.timestamp()[1],
    )


def _joined(_: confluent_kafka.Consumer, partitions: list[TopicPartition]) -> None:
    _log.info("joined with %d partitions", len(partitions))


def _check(consumer: object, topics: Sequence[str], batch_max: int) -> None:
    check_name("consumer", consumer, BadInput)
    if isinstance(topics, str) or not topics:
        raise BadInput("topics", "must be a list of at least one topic")
    for topic in topics:
        check_topic(topic)
    if batch_max < 1:
        raise BadInput("batch_max", f"must be at least 1, is {batch_max}")


def _client(
    bootstrap_servers: str, group_id: str, properties: Mapping[str, Any]
) -> confluent_kafka.Consumer:
    wanted = client_properties(bootstrap_servers, group_id, properties)
    try:
        return confluent_kafka.Consumer({"logger": _client_log, **wanted})
    except KafkaException as refusal:
        raise refused(str(refusal.args[0].str()), properties) from None
