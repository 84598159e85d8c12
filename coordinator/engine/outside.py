"""Effects outside the database, undone also when the process is killed.

Naive: act, and keep the undo in memory until the commit. A process that is killed in between leaves
the effect, and nobody knows of it. Or note the effect in the transaction itself: the note is rolled
back with the rest. Or note it after the action, in a commit of its own: a kill between the two
leaves the effect without a note. So the intent is committed *before* the action, beside the
transaction, and says by name and JSON how to undo what may happen now:

    lock      the transaction takes an advisory lock of its attempt: somebody is at work
    earlier   what earlier attempts under this key left is undone first; the claim of the key keeps
              others away. Else a late undo of theirs could take back the effect of this one
    intent    committed beside it, durably even with synchronous_commit = off
    action    with the same JSON values that the undo will get
    look      is the transaction still there? An action on behalf of a dead one fails here
    settle    at the end, in the transaction: "the effects of this attempt stay"

What is authoritative: an attempt was committed if and only if its settlement can be seen. It is a
row that the transaction inserts, not an intent that it deletes: in REPEATABLE READ it could not see
the intents, which were committed after its snapshot. The lock only says when to look. It ends after
the commit is visible, so whoever gets it sees, with a new snapshot, how the attempt ended; a commit
whose reply was lost needs nothing more.

    killed before the intent       nothing happened, nothing is left
    killed until the commit        intent without settlement, lock free: `recover` undoes
    killed after the commit        settlement: the effect stays; the next who acts sweeps the rows
    rolled back in this process    undone at once, in one reverse order with the RollbackActions
    joined and rolled back         as killed: the caller's end is not seen here
    main connection lost           the lock may go while the action still acts, and `recover` may
                                   undo what has not happened yet. So here, where it is seen that
                                   the lock did not outlive the action, the undo runs again. (Killed
                                   on top of that, between the two: the effect stays. Not closed.)

A savepoint that is rolled back would take the lock along, and the transaction could be committed
without it: so nothing is done outside within a savepoint that was begun inside the work.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, NestedTransaction, literal, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from coordinator.engine import intents
from coordinator.engine.calling import call
from coordinator.engine.compensation import error_text, log_unwritten
from coordinator.engine.connections_beside import begin_beside
from coordinator.engine.intents import Intent
from coordinator.engine.json_arguments import arguments_json
from coordinator.engine.operation import ROLLBACK_ACTIONS, UndoOutside
from coordinator.engine.retry import RetryBudget
from coordinator.engine.undo_registry import registered_name
from coordinator.engine.undoing import OUTSIDE, Begin, NotUndone, Undoing
from coordinator.errors import EarlierNotUndone, WrongUse
from coordinator.failpoints import hit
from coordinator.outcomes import DomainAck
from coordinator.session_guard import guarded, made_savepoint_in_sql, unguarded
from coordinator.transient import is_transient

__all__ = ["OutsideAttempt"]

_NOT_COMMITTED = "an earlier attempt was not committed"


@dataclass(slots=True)
class _Effect:
    """An action that was begun; `lock_outlived_it`: no undo can have come before its end."""

    intent: Intent
    lock_outlived_it: bool = False


class OutsideAttempt:
    """The effects outside of one attempt; used by one thread.

    Attributes:
        attempt_id: made anew for each attempt.
    """

    def __init__(
        self, session: Session, key: Sequence[str], call_id: UUID, budget: RetryBudget
    ) -> None:
        """Begin with none.

        Args:
            session: of the attempt's transaction.
            key, call_id: of its call.
            budget: for recording an undo; also the longest wait for another process's undoing.
        """
        self.attempt_id = uuid4()
        self._session = session
        self._key = tuple(key)
        self._budget = budget
        self._call_id = call_id
        self._savepoint = _savepoint(session)
        self._effects: list[_Effect] = []

    def act(
        self, action: Callable[..., Any], args: Sequence[Any], undo: Callable[..., Any] | str
    ) -> Any:
        """Do `action`, after its intent is committed; see the module's picture.

        Raises:
            BadInput, WrongUse, EarlierNotUndone: as Transaction.outside says.
            sqlalchemy.exc.DBAPIError: the transaction, or the connection beside it, is lost.
            Exception: what `action` raised, as it is.
        """
        effect = _Effect(self._intent(action, args, undo))
        self._refuse_savepoint()
        connection = self._session.connection()
        intents.hold(connection, self.attempt_id)
        begin = partial(begin_beside, connection.engine)
        with unguarded():
            self._commit(effect.intent, begin)
        hit("outside.intent_written")
        # Before the action: one that raises may have acted.
        self._effects.append(effect)
        self._undo_after_a_rollback(partial(self._undo, begin, effect))
        return self._acted(connection, action, effect)

    def settle(self) -> None:
        """Note in the transaction that its effects outside stay with its commit."""
        if self._effects:
            intents.settle(self._session.connection(), self.attempt_id)
            hit("outside.settled")

    def _intent(
        self, action: Callable[..., Any], args: Sequence[Any], undo: Callable[..., Any] | str
    ) -> Intent:
        return Intent(
            attempt_id=self.attempt_id,
            ordinal=len(self._effects),
            key=self._key,
            call_id=self._call_id,
            action=getattr(action, "__qualname__", type(action).__name__),
            undo=registered_name(undo),
            arguments=arguments_json(args),
        )

    def _acted(self, connection: Connection, action: Callable[..., Any], effect: _Effect) -> Any:
        try:
            with guarded(self._session, effect.intent.action, acts_outside=True):
                value = call(action, json.loads(effect.intent.arguments))
        except BaseException:
            effect.lock_outlived_it = _answers(connection)
            raise
        hit("outside.acted")
        connection.execute(_LOOK)
        effect.lock_outlived_it = True
        return value

    def _commit(self, intent: Intent, begin: Begin) -> None:
        """Commit the intent, the first one of an attempt when nothing of earlier ones is left."""
        with begin() as beside:
            earlier = [] if self._effects else _left_by_earlier_ones(beside, self._key)
            if not earlier:
                intents.write(beside, intent)
        if earlier:
            self._undo_earlier(earlier, begin)
            self._commit(intent, begin)

    def _undo_earlier(self, earlier: Sequence[Intent], begin: Begin) -> None:
        for intent in earlier:
            # Who holds the lock is not at work under this key, but undoes: we have the claim.
            answer = Undoing(intent, _NOT_COMMITTED).attempt(begin, wait_s=self._budget.total_s)
            if (problem := _problem(answer)) is not None:
                raise EarlierNotUndone(intent.undo, problem)

    def _undo_after_a_rollback(self, undo: UndoOutside) -> None:
        # A session that is joined has no such list: its end is not seen here, `recover` does it.
        actions: list[UndoOutside] | None = self._session.info.get(ROLLBACK_ACTIONS)
        if actions is not None:
            actions.append(undo)

    def _undo(self, begin: Begin, effect: _Effect, cause: BaseException) -> DomainAck:
        hit("outside.rolled_back")
        undoing = Undoing(effect.intent, error_text(cause))
        budget = self._budget
        try:
            answer = budget.spend(
                lambda: undoing.attempt(
                    begin, wait_s=budget.total_s, though_gone=not effect.lock_outlived_it
                ),
                again=is_transient,
            )
        except SQLAlchemyError as error:
            if undoing.ack is None:
                left = f"left to recover(): {error_text(error)}"
                return DomainAck(OUTSIDE, effect.intent.undo, undoing.reason, False, left)
            log_unwritten(undoing.ack, error)
            return undoing.ack
        if isinstance(answer, DomainAck):
            return answer
        problem = _problem(answer)
        return DomainAck(OUTSIDE, effect.intent.undo, undoing.reason, problem is None, problem)

    def _refuse_savepoint(self) -> None:
        if _savepoint(self._session) is not self._savepoint or made_savepoint_in_sql():
            raise WrongUse(
                "inside a savepoint nothing can be done outside the database: a rollback to it "
                "would leave the effect; call tx.outside before begin_nested() or after its end"
            )


_LOOK = select(literal(1))


def _left_by_earlier_ones(beside: Connection, key: Sequence[str]) -> list[Intent]:
    intents.sweep(beside)
    return intents.unsettled(beside, key)


def _problem(answer: DomainAck | NotUndone) -> str | None:
    """Why the effect may still be there; None where it is undone, by us or by `recover`."""
    if isinstance(answer, DomainAck):
        return answer.action_error
    return None if answer is NotUndone.GONE else answer.value


def _savepoint(session: Session) -> NestedTransaction | None:
    # Asked of the connection: it knows those of the Session and its own.
    return session.connection().get_nested_transaction() if session.in_transaction() else None


def _answers(connection: Connection) -> bool:
    try:
        connection.execute(_LOOK)
    except Exception:  # noqa: BLE001 - whatever it is, that the lock is held is not shown
        return False
    return True
