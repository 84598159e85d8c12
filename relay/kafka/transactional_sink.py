"""Events to Kafka exactly once: a page is a transaction, and says itself how far it got.

Naive: transactions alone. They make a page appear whole or not at all, and the relay that dies
between the commit in Kafka and the entry in its log publishes the page again; the one that was
stopped, and wakes when another leads, publishes its page a second time. So:

  - Each transaction carries how far it brings the window (positions.py), and a leader asks for the
    last committed word before it sends anything, and again whenever a commit was in doubt.
  - One transactional.id for the outbox, the same on all its relays. `init_transactions` raises its
    epoch at the broker, aborts what an earlier producer has open, and waits for a commit of it that
    was already decided. From then on the broker refuses whatever that producer still sends: it is
    *fenced*, however long it slept. Only then is the position read; the other way round the earlier
    producer could commit in between.
  - Only what was aborted for certain, before its commit was asked for, is settled without a
    question.
  - A commit without a reply may have been carried out, or may yet be. Only a new producer ends the
    doubt: its init settles the transaction one way or the other, and then the position is read.

What is authoritative: the window's entry in the database for where it begins, the committed record
in Kafka for how far it is out, if it is of that window (core/reached.py).

The first event of a partition need not go alone here (partitions.py): where a batch is refused, or
taken ahead of an earlier one that is not, the transaction is aborted, and nobody sees any of it. A
commit says that every batch was acknowledged in its order.

A leader that is fenced steps down, and stands for election again: most likely another leads. The
broker fences as well when it has given a transaction up by itself (transaction.timeout.ms).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from confluent_kafka import KafkaError, KafkaException

from coordinator.failpoints import hit
from relay.core.inputs import Doubtful, Input, Lost, Recovered, Refused, Rows
from relay.core.reached import Reached
from relay.errors import Fenced
from relay.kafka.error_codes import RAISED, error_of, is_of_topic
from relay.kafka.positions import CutShort, Positions, encoded
from relay.kafka.sink import ASK_EVERY_S, Failure, KafkaSink

__all__ = ["TransactionalSink"]

ABORT_TIMEOUT_S = 1.0
"""An abort that takes longer is left to the next init, or to transaction.timeout.ms."""

_FENCED = (
    KafkaError._FENCED,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
)


class TransactionalSink(KafkaSink):
    """See Sink. A producer lives as long as nothing is in doubt, within one term."""

    _id = ""
    _ready = False
    _open = False
    _aborted = False
    _reached: Reached | None = None

    def enter(self, epoch: str, outbox: str) -> None:
        """See KafkaSink.enter. Another relay may have led since: the producer begins anew."""
        super().enter(epoch, outbox)
        self._id = f"outbox-relay-{outbox}"
        self._positions = Positions(self._properties, self._id)
        self._throw_away()

    def recover(self, keep_going: Callable[[], bool]) -> Input:
        """See Sink.recover."""
        if self._ready:
            return Recovered(self._reached)
        self._unanswered = True
        try:
            self._positions.make()
            if not self._repeated(self._producer.init_transactions, keep_going):
                return Lost()
            self._reached = self._positions.last(keep_going)
        except CutShort:
            return Lost()
        except RAISED as problem:
            failed = error_of(problem).str()
        else:
            self._ready, self._aborted, self._unanswered = True, False, False
            return Recovered(self._reached)
        # Not in the handler: the traceback refers to the producer, which would end in this thread.
        self._throw_away()
        return Doubtful(f"{self._id}: {failed}")

    def send(
        self, rows: Rows, number: int, reached: Reached, keep_going: Callable[[], bool]
    ) -> Input:
        """See Sink.send."""
        if self._aborted and not isinstance(begun := self.recover(keep_going), Recovered):
            return begun
        if not self._ready:
            return Doubtful("the broker has not said yet what it has")
        return super().send(rows, number, reached, keep_going)

    def discard(self) -> None:
        """See Sink.discard. What is open would keep read_committed consumers waiting."""
        if self._open:
            with suppress(Fenced):
                self._given_up()

    def _given_properties(self) -> Mapping[str, str | int | bool]:
        # Until the outbox is known nothing is sent; the client only says whether brokers answer.
        return {**self._properties, "transactional.id": self._id} if self._id else self._properties

    def _published(
        self, rows: Rows, number: int, reached: Reached, keep_going: Callable[[], bool]
    ) -> bool:
        self._producer.begin_transaction()
        self._open = True
        if not self._hand_over(rows, number, keep_going):
            return False
        self._producer.produce(self._positions.topic, encoded(reached), self._id, 0)
        hit("relay.transaction_open")
        if not self._flushed(keep_going):
            self._ask_why()
            return False
        hit("relay.before_commit")
        # From here on it may be carried out, whatever is heard of it: an abort that succeeds after
        # this may only mean that the client has begun a new epoch.
        self._ready = False
        if not self._repeated(self._producer.commit_transaction, keep_going):
            return False
        self._ready, self._open, self._reached = True, False, reached
        return True

    def _repeated(self, ask: Callable[[float], object], keep_going: Callable[[], bool]) -> bool:
        """Ask until it is done, as the client goes on with it meanwhile; False if it may not."""
        while keep_going():
            try:
                ask(ASK_EVERY_S)
                return True
            except KafkaException as problem:
                if not problem.args[0].retriable():
                    raise
                self.serve()
        return False

    def _ask_why(self) -> None:
        """Note the transaction's own error, which no event reports: of a forbidden topic, say, all
        are purged. The client gives it as the reason why no other transaction may begin."""
        try:
            self._producer.begin_transaction()
        except KafkaException as problem:
            if (error := problem.args[0]).code() != KafkaError._STATE:
                self._failures.append((error, None))

    def _given_up(self) -> list[Failure]:
        """Abort, and throw the producer away; all that failed before.

        It cannot go on even then: the numbers of the batches that were refused are skipped. What is
        on its way is not purged: its answers must find the producer there (retired.py).
        """
        failures = self._purged(in_flight=False)
        errors = [error for error, _ in failures]
        aborted = False
        if self._ready:
            try:
                self._producer.abort_transaction(ABORT_TIMEOUT_S)
                aborted = True
            except RAISED as problem:
                errors.append(error_of(problem))
        self._throw_away()
        if any(error.code() in _FENCED for error in errors):
            raise Fenced(f"fenced by the broker: a later producer of {self._id} has begun")
        self._aborted = aborted
        return failures

    def _throw_away(self) -> None:
        self._ready = self._open = self._aborted = False
        self._reached = None
        self._replace_producer()

    def _outcome(self, failures: list[Failure], rows: Rows) -> Input:
        """As ever, but what is wrong with the topic of positions is no event's fault, and what is
        wrong with a topic is told without its name."""
        for error, topic in failures:
            if topic == self._positions.topic:
                return Doubtful(f"{topic}: {error.str()}")
        if not failures:
            return Doubtful("the transaction failed, and the client does not say why")
        outcome = super()._outcome(failures, rows)
        topics = {row[2] for row in rows}
        if isinstance(outcome, Refused) and is_of_topic(failures[0][0]) and len(topics) == 1:
            return replace(outcome, topic=topics.pop())
        return outcome
