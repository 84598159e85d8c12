"""Handling records: many in one transaction, and around the one that fails.

Each record ends in exactly one of three ways, in one transaction with the memory's note of it: its
handler has run, it is parked, or it waits behind a parked record of its key. What the transaction
takes is decided in this order, and each step rests on the one before:

1. the memory says which records are new (it waits for another transaction that has them in hand);
2. of the new ones, those whose key is held are parked behind it;
3. the handler gets the others.

Naive: when a handler fails, do the batch again record by record, each in a transaction or savepoint
of its own. That is a thousand commits for one bad record, or a transaction that stays open while
the record is tried again. Here the batch is cut: what came before the record that failed is done
again as a batch, the record alone is tried again and then parked, and what follows is a batch
again. A handler of whole batches does not say which record it was, so that batch is halved.

An error of the database that passes (a lost connection, a deadlock) says nothing against a record:
the same transaction is tried again until it succeeds. If its commit had succeeded and only the
reply was lost, the memory finds nothing new in it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import isawaitable, iscoroutine, iscoroutinefunction
from typing import Final

import tenacity
from sqlalchemy import Engine, literal, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from coordinator.errors import BadInput, Poison, WrongUse
from coordinator.failpoints import hit
from coordinator.inbox.memory import Memory, Record
from coordinator.inbox.parking import park, park_behind, reason_of
from coordinator.session_guard import GuardedSession, guarded, watch
from coordinator.transient import is_transient

__all__ = ["Handle", "HandlerFailed", "Patience", "RecordHandling", "each", "whole"]

_log: Final = logging.getLogger("coordinator.inbox")

_DATABASE_WAIT_FIRST_S: Final = 0.1
_DATABASE_WAIT_MAX_S: Final = 5.0


class HandlerFailed(Exception):
    """The handler raised its cause; `record` is the one it had in hand, None if it did not say."""

    def __init__(self, record: Record | None) -> None:
        super().__init__()
        self.record = record


Handle = Callable[[Session, Sequence[Record]], None]
"""Runs the user's handler, and raises its errors as HandlerFailed."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a record that its handler refuses is tried again before it is parked.

    Attributes:
        attempts_max: the first one included, at least 1.
        wait_first_s, wait_max_s: bounds of the pause; it doubles, and is random below the bound.
    """

    attempts_max: int = 5
    wait_first_s: float = 0.1
    wait_max_s: float = 2.0


def each(handler: Callable[[Session, Record], object]) -> Handle:
    """Run a handler of single records, one after the other."""

    _must_be_plain("handler", handler)

    def handle(session: Session, records: Sequence[Record]) -> None:
        for record in records:
            try:
                _must_be_done(handler(session, record))
            except WrongUse:
                raise
            except Exception as error:
                raise HandlerFailed(record) from error

    return handle


def whole(handler: Callable[[Session, Sequence[Record]], object]) -> Handle:
    """Run a handler of whole batches."""

    _must_be_plain("batch_handler", handler)

    def handle(session: Session, records: Sequence[Record]) -> None:
        try:
            _must_be_done(handler(session, records))
        except WrongUse:
            raise
        except Exception as error:
            raise HandlerFailed(records[0] if len(records) == 1 else None) from error

    return handle


def _must_be_plain(field: str, handler: object) -> None:
    if not callable(handler) or iscoroutinefunction(handler):
        raise BadInput(field, "must be a plain function; a coroutine would never be awaited")


def _must_be_done(answer: object) -> None:
    # The records would be noted as taken, and nothing was done.
    if isawaitable(answer):
        if iscoroutine(answer):
            answer.close()
        raise WrongUse("the handler returned a coroutine, and the loop awaits none")


class RecordHandling:
    """Brings batches of records to their end, whatever their handler and the database do.

    Args:
        pause: waits so many seconds between two attempts; what it raises ends the handling, with
            nothing half done.
        is_ours: asked after a pause. A record of a partition that has gone to another consumer
            meanwhile is left to that one. (Handling it here too would be safe, and work for
            nothing.)

    Attributes:
        replays_skipped: records so far that were replayed for another consumer.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        consumer: str,
        memory: Memory,
        handle: Handle,
        patience: Patience,
        pause: Callable[[float], None],
        is_ours: Callable[[Record], bool],
    ) -> None:
        watch(engine)
        self._engine = engine
        self._consumer = consumer
        self._memory = memory
        self._handle = handle
        self._pause = pause
        self._is_ours = is_ours
        self.replays_skipped = 0
        self._until_database_answers = tenacity.Retrying(
            retry=tenacity.retry_if_exception(is_transient),
            wait=tenacity.wait_random_exponential(_DATABASE_WAIT_FIRST_S, _DATABASE_WAIT_MAX_S),
            before_sleep=_tell_database_trouble,
            sleep=pause,
        )
        self._until_patience_ends = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_heal),
            stop=tenacity.stop_after_attempt(patience.attempts_max),
            wait=tenacity.wait_random_exponential(patience.wait_first_s, patience.wait_max_s),
            sleep=pause,
            reraise=True,
        )

    def finish(self, records: Sequence[Record]) -> None:
        """Return when each of `records`, in the order of their partitions, has come to its end.

        Raises:
            WrongUse: the handler ended the transaction, or raised it itself.
            SQLAlchemyError: an error of the database outside the handler that does not pass, such
                as a missing privilege.
        """
        ours = [record for record in records if record.is_for(self._consumer)]
        if skipped := len(records) - len(ours):
            self.replays_skipped += skipped
            _log.info("%s: skipped %d replayed for others", self._consumer, skipped)
        parts: list[Sequence[Record]] = [ours] if ours else []
        while parts:
            part = parts.pop()
            try:
                self._commit(part)
            except HandlerFailed as failure:
                if len(part) == 1:
                    self._finish_alone(part[0])
                else:
                    parts += reversed(_cut(part, failure.record))

    def _commit(self, records: Sequence[Record]) -> None:
        self._until_database_answers(self._take, records)

    def _take(self, records: Sequence[Record]) -> None:
        ours = [record for record in records if self._is_ours(record)]
        if not ours:
            return
        with GuardedSession(self._engine) as session:
            if new := self._new(session, ours):
                with guarded(session, self._consumer, acts_outside=True):
                    self._handle(session, new)
            hit("inbox.handled")
            _end(session)
        hit("inbox.committed")

    def _new(self, session: Session, records: Sequence[Record]) -> list[Record]:
        try:
            answers = self._memory.take(session, self._consumer, records)
        except BadInput as unknowable:
            raise HandlerFailed(records[0] if len(records) == 1 else None) from unknowable
        new = [record for record, is_new in zip(records, answers, strict=True) if is_new]
        return park_behind(session, self._consumer, new) if new else new

    def _finish_alone(self, record: Record) -> None:
        try:
            self._until_patience_ends(self._commit, [record])
        except HandlerFailed as failure:
            cause = failure.__cause__ or failure
            self._until_database_answers(self._park, record, reason_of(cause))
            # The reason stands beside the record. It may quote a value, so it is not logged.
            place = (record.topic, record.partition, record.offset)
            reason = type(cause).__name__
            _log.warning("%s: parked %s[%d]@%d: %s", self._consumer, *place, reason)

    def _park(self, record: Record, reason: str) -> None:
        with Session(self._engine) as session, session.begin():
            try:
                new = self._memory.take(session, self._consumer, [record])
            except BadInput:
                new = [True]  # it cannot be remembered; its place in the parked table does it
            # It may have been held meanwhile, by another transaction with the record before it.
            if any(new) and park_behind(session, self._consumer, [record]):
                park(session, self._consumer, record, reason)


def _end(session: Session) -> None:
    """Commit, unless the handler left the transaction broken.

    A handler may swallow an error of the database. PostgreSQL then answers COMMIT with a rollback,
    which the driver does not count as an error, and the records would be lost: so it is asked.
    """
    try:
        session.flush()
        session.execute(select(literal(1)))
        session.commit()
    except WrongUse:
        raise
    except Exception as error:  # the user's hooks of the session raise anything
        raise HandlerFailed(None) from error


def _cut(records: Sequence[Record], failed: Record | None) -> list[Sequence[Record]]:
    """Cut around the record that failed, or in halves; the parts are in order and not empty."""
    if failed is None:
        middle = len(records) // 2
        return [records[:middle], records[middle:]]
    at = next(number for number, record in enumerate(records) if record is failed)
    parts = [records[:at], records[at : at + 1], records[at + 1 :]]
    return [part for part in parts if part]


def _may_heal(error: BaseException) -> bool:
    return isinstance(error, HandlerFailed) and not isinstance(error.__cause__, Poison | BadInput)


def _tell_database_trouble(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    # The database's own error: one that wraps it may quote the record.
    while error is not None and not isinstance(error, DBAPIError):
        error = error.__cause__
    if error is not None:
        _log.warning("database: %s; tried again", reason_of(error))
