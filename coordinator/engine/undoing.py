"""Takes back one effect outside the database, and records it in the same transaction.

Naive: call the undo, then delete its row. Two who do so at one moment (a process after its
rollback, `recover` in another) both call it. Here whoever undoes holds the attempt's lock and the
row until what became of the undo is committed:

the lock    not free: the attempt's transaction is open, or another undoes: hands off
the row     gone or settled: there is nothing to take back
the undo    ends well: the row is deleted; fails: the row stays, with the error, for the next time
the ack     a row of transaction_acks in either case; then the commit

So an undo that ended well and was recorded never runs again. A process that is killed between the
two leaves the row, and the undo runs once more: that is why it must be idempotent.
"""

from __future__ import annotations

import json
from asyncio import CancelledError
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from coordinator.engine import intents
from coordinator.engine.calling import call
from coordinator.engine.claims import write_ack
from coordinator.engine.compensation import error_text
from coordinator.engine.intents import Intent
from coordinator.engine.undo_registry import registered
from coordinator.failpoints import hit
from coordinator.outcomes import DomainAck
from coordinator.transient import is_lock_timeout

__all__ = ["OUTSIDE", "Begin", "NotUndone", "Undoing"]

# The domain in the acks of effects outside.
OUTSIDE = "outside"

Begin = Callable[[], AbstractContextManager[Connection]]


class NotUndone(Enum):
    """Why an undo was not called."""

    RUNNING = "its transaction is open, or another process undoes it now"
    GONE = "it was undone or committed meanwhile"
    UNKNOWN = "no module of this process registers its undo"


@dataclass(slots=True)
class Undoing:
    """One undoing of one effect; calls the undo at most once, also where `attempt` is repeated.

    Attributes:
        intent: as it was read or written a while ago.
        reason: why it is undone; stands in the ack.
        ack: what became of the undo, once it was called.
    """

    intent: Intent
    reason: str
    ack: DomainAck | None = None

    def attempt(
        self, begin: Begin, *, wait_s: float | None = None, though_gone: bool = False
    ) -> DomainAck | NotUndone:
        """Undo the effect if it is left over, and record that, in a transaction of its own.

        Args:
            begin: begins a transaction in READ COMMITTED.
            wait_s: seconds to wait for the attempt's lock; None does not wait.
            though_gone: also where somebody has undone it before.

        Raises:
            sqlalchemy.exc.DBAPIError: the database could not be asked or told; the row is as it
                was.
        """
        with begin() as connection:
            if not _hold(connection, self.intent, wait_s):
                return NotUndone.RUNNING
            if not intents.take(connection, self.intent) and not (though_gone and not self.ack):
                return self.ack or NotUndone.GONE
            function = registered(self.intent.undo)
            if function is None:
                return NotUndone.UNKNOWN
            if self.ack is None:
                self.ack = _called(function, self.intent, self.reason)
            hit("outside.undone")
            _record(connection, self.intent, self.ack)
        hit("outside.acknowledged")
        return self.ack


def _called(function: Callable[..., Any], intent: Intent, reason: str) -> DomainAck:
    error = None
    try:
        call(function, json.loads(intent.arguments))
    except (Exception, CancelledError) as failure:  # noqa: BLE001 - its failure is what the ack reports
        error = error_text(failure)
    return DomainAck(OUTSIDE, intent.undo, reason, error is None, error)


def _record(connection: Connection, intent: Intent, ack: DomainAck) -> None:
    if ack.action_succeeded:
        intents.remove(connection, intent)
    else:
        intents.keep(connection, intent, ack.action_error)
    write_ack(connection, intent.key, intent.call_id, ack)


def _hold(connection: Connection, intent: Intent, wait_s: float | None) -> bool:
    if wait_s is None:
        return intents.try_to_hold(connection, intent.attempt_id)
    intents.wait_no_longer_than(connection, wait_s)
    try:
        intents.hold(connection, intent.attempt_id)
    except DBAPIError as error:
        if is_lock_timeout(error):
            return False  # and nothing more is done in this transaction
        raise
    return True
