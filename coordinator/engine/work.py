"""A transaction as the code that works in it sees it: a session, events, named operations.

open ---- operation, outside, emit ----> open
  | one of them fails           failed: it stays so, even where the error is caught, and the whole
  |                             cannot succeed any more
  | the function or block ends  over: whoever kept it and emits later would lose that event
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy.orm import Session

from coordinator.engine.emitted import Emitted
from coordinator.engine.operation import RollbackAction
from coordinator.errors import BadInput, WrongUse
from coordinator.event import OutboxEvent, UnchosenId
from coordinator.failpoints import hit
from coordinator.idempotency import derived_event_id
from coordinator.outcomes import DomainResult, Outcome
from coordinator.phases import ENGINE_PHASES, TransactionPhase, advance
from coordinator.session_guard import guarded
from coordinator.validation import check_name

if TYPE_CHECKING:
    # It writes acks, by the memory that keeps what this class did.
    from coordinator.engine.outside import OutsideAttempt

Action = Callable[[Session], DomainResult | None]


class Transaction:
    """One attempt at one transaction; made by a coordinator, used by one thread.

    Attributes:
        value: in a transaction that is joined: JSON values that a repeat shall get. In
            `Coordinator.run` the function returns them.
    """

    def __init__(
        self,
        session: Session,
        key: Sequence[str],
        outside: OutsideAttempt,
        earlier: Outcome | None = None,
    ) -> None:
        """Begin; `earlier` is what an earlier call left, and then nothing is to be done."""
        self.value: Any = None
        self._session = session
        self._key = key
        self._outside = outside
        self._outcome = earlier
        self._replayed = earlier is not None
        self._replay_is_known = False
        self._phase: str = TransactionPhase.NOT_STARTED
        self._results: dict[str, DomainResult] = {}
        self._emitted = Emitted()
        self._failure: BaseException | None = None
        self._is_over = False

    @property
    def session(self) -> Session:
        """The session of this transaction; only the one who began it commits or rolls back.

        Raises:
            WrongUse: the transaction is over, or an earlier call did its work.
        """
        self._must_be_open()
        return self._session

    @property
    def attempt_id(self) -> UUID:
        """Another in each attempt: names an effect outside, so that its undo meets no other one.

        A retry must not find the effect of the attempt before it, which was undone.
        """
        return self._outside.attempt_id

    @property
    def phase(self) -> str:
        """The last phase that was reached."""
        return self._phase

    @property
    def results(self) -> Mapping[str, DomainResult]:
        """What the operations have done so far, in order, by their names."""
        return MappingProxyType(self._results)

    @property
    def events(self) -> Sequence[OutboxEvent]:
        """What was emitted so far, with the ids that reach Kafka."""
        return self._emitted.events

    @property
    def replayed(self) -> bool:
        """Whether an earlier call did this work; then nothing may be written, see `result`."""
        self._replay_is_known = True
        return self._replayed

    @property
    def result(self) -> Outcome:
        """What is recorded under the key: after the block, or from its start in a repeat.

        Raises:
            WrongUse: nothing is recorded yet.
        """
        if self._outcome is None:
            raise WrongUse("the result stands when the block has ended without an error")
        return self._outcome

    def emit(self, event: OutboxEvent) -> UUID:
        """Have `event` written with this transaction, and return its id.

        Events are written at the end, in the order of the calls, and their keys are locked then, so
        that events of a key reach Kafka in commit order. An event without an id of its own gets one
        made of the transaction's key, its type, and how many of that type came before: a retry
        repeats it. What is emitted in a savepoint of the session goes with it, if that is rolled
        back.

        Raises:
            WrongUse: the transaction is over, or an earlier call did its work.
            BadInput: `event` is no OutboxEvent.
        """
        self._must_be_open()
        _must_be_an_event(event)
        if isinstance(event.id, UnchosenId):
            ordinal = sum(earlier.type == event.type for earlier in self._emitted.events)
            event = replace(event, id=derived_event_id(self._key, event.type, ordinal))
        self._emitted.append(event, self._session)
        return event.id

    def operation(
        self,
        name: str,
        action: Action,
        *,
        phase: str | None = None,
        undo: Callable[[DomainResult], object] | None = None,
    ) -> DomainResult:
        """Do one domain's part, and return what it did.

        An operation that fails fails the whole transaction, also where its error is caught: what
        one domain did must not be committed without the other's part.

        Args:
            name: the domain's, 1 to 255 characters, unique in the transaction.
            action: does the work on the session that it is handed, which it does not end; returns
                a DomainResult, or None for a plain one.
            phase: what is reached when `action` is done; None for `name`.
            undo: takes back, after a rollback, what `action` did outside the database; gets the
                action's result. It is lost with a killed process, unlike that of `outside`. An
                action that can fail after such an effect registers a RollbackAction itself, as soon
                as the effect is there. Not in a transaction that is joined, as its end is not seen
                here.

        Raises:
            BadInput: `name` breaks its rule.
            WrongUse: the name was used before, or the phase is the engine's own, or `action`
                returned something else, or the transaction is over.
            Exception: what `action` raised, as it is.
        """
        self._must_be_open()
        try:
            self._refuse_operation(name, phase or name)
            result = self._act(name, action, undo)
            self._phase = advance(self._phase, phase or name)
        except BaseException as error:
            self._failure = self._failure or error
            raise
        self._results[name] = result
        hit(f"coordinator.done:{name}")
        return result

    def outside(
        self, action: Callable[..., Any], *args: Any, undo: Callable[..., Any] | str
    ) -> Any:
        """Call `action(*args)`, and have `undo(*args)` called if this transaction does not commit.

        Also after `kill -9`: the intent is committed before the action, and `recover` finds it. The
        undo gets the same arguments, so one of them must name the effect; `str(tx.attempt_id)`
        does. An action that fails fails the whole transaction, also where its error is caught, and
        is undone, since it may have acted. After a failure undos run in reverse; one that fails
        does not stop the others, stands in `TransactionFailed.acks`, and is left to `recover`. In a
        transaction that is joined, they run with the next one under its key, or in `recover`.

        Args:
            action: has an effect outside the database; does not use this transaction, which stays
                open meanwhile, and with it a connection and the claim of the key.
            args: JSON values, 16,384 bytes of them; action and undo get copies.
            undo: registered by `@undo("name")`, or its name. It must be idempotent, and end well
                where the action never happened: after a crash nobody knows how far it came.

        Returns:
            What the action returned; it is not stored.

        Raises:
            BadInput: an argument is no JSON value; the error names it, such as `args[1]`.
            WrongUse: `undo` is not registered, a savepoint is open, or the transaction is over.
            EarlierNotUndone: what an earlier attempt under this key did outside is still there.
            Exception: what `action` raised, as it is.
        """
        self._must_be_open()
        try:
            return self._outside.act(action, args, undo)
        except BaseException as error:
            self._failure = self._failure or error
            raise

    def settle_outside(self) -> None:
        """Called by the engine before the record: what was done outside stays with the commit."""
        self._outside.settle()

    @property
    def was_repeated_unasked(self) -> bool:
        """Whether the work of an earlier call was done again."""
        return self._replayed and not self._replay_is_known

    def must_succeed(self) -> None:
        """Called by the engine before the end.

        Raises:
            Exception: that of the first operation that failed, caught or not.
            WrongUse: this is a repeat, and nobody asked; or an operation was interrupted.
        """
        if self._failure is not None:
            if not isinstance(self._failure, Exception):
                # Such as a cancellation by a timeout inside the function: the caller's task has
                # not been cancelled.
                raise WrongUse("an operation was interrupted, and that was caught") from (
                    self._failure
                )
            raise self._failure
        if self.was_repeated_unasked:
            raise WrongUse(
                "this key was done before, and the block would do it again: ask `tx.replayed` "
                "first, and take `tx.result`"
            )

    def end(self, outcome: Outcome | None = None) -> None:
        """Called by the engine at the end, with what was recorded."""
        self._is_over = True
        self._emitted.close(self._session)
        self._outcome = self._outcome or outcome

    def _act(
        self, name: str, action: Action, undo: Callable[[DomainResult], object] | None
    ) -> DomainResult:
        with guarded(self._session, name):
            result = action(self._session)
            if result is None:
                result = DomainResult(name)
            _must_be_a_result(name, result)
            if undo is not None:
                # Before the flush: if that fails, the effect is there all the same.
                RollbackAction(name, name, lambda: undo(result)).register(self._session)
            # Now, not at the commit: an error belongs to the operation that caused it.
            self._session.flush()
        return result

    def _refuse_operation(self, name: str, phase: str) -> None:
        check_name("operation", name, BadInput)
        if name in self._results:
            raise WrongUse(f"operation {name!r} was done before in this transaction")
        if phase in ENGINE_PHASES:
            raise WrongUse(f"operation {name!r} cannot reach the phase {phase!r}: the engine does")

    def _must_be_open(self) -> None:
        if self._is_over:
            raise WrongUse("this transaction is over: what is done with it now would be lost")
        if self._replayed:
            raise WrongUse(
                "this key was done before: ask `tx.replayed` first, and take `tx.result`"
            )


def _must_be_an_event(event: object) -> None:
    if not isinstance(event, OutboxEvent):
        raise BadInput("event", f"must be an OutboxEvent, not {type(event).__name__}")


def _must_be_a_result(name: str, result: object) -> None:
    if not isinstance(result, DomainResult):
        raise WrongUse(
            f"operation {name!r} must return a DomainResult or None, not {type(result).__name__}"
        )
