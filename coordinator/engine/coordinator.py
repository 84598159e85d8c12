"""Coordinator: any cross-domain transaction, once for each key.

Two forms. `run` is given a function, begins and commits itself, and can call the function again: so
it retries. `join` works in a transaction that the caller has begun and will commit. It never
commits, since what the caller writes after the block belongs to it too; and it cannot retry: a
failure takes what the caller wrote before the block as well, and nobody here can write that again,
nor run a `with` block twice. A caller who wants a retry repeats his whole transaction; the key and
the event ids stay the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from inspect import iscoroutinefunction
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from coordinator.engine.call_arguments import Key, call_digests, key_parts, mapping_digests
from coordinator.engine.claims import Claims
from coordinator.engine.memory import Call
from coordinator.engine.outside import OutsideAttempt
from coordinator.engine.retry import RetryBudget
from coordinator.engine.transaction import CrossDomainTransaction, Work
from coordinator.engine.work import Transaction
from coordinator.errors import WrongUse
from coordinator.event import OutboxEvent
from coordinator.outbox.key_lock import lock_keys
from coordinator.outbox.writer import Outbox
from coordinator.outcomes import Outcome


class Coordinator:
    """Runs transactions under keys; holds no state of a call, so all threads may share one."""

    def __init__(
        self, engine: Engine, *, budget: RetryBudget | None = None, outbox: Outbox | None = None
    ) -> None:
        """Wire it.

        Args:
            engine: where the rows and the outbox are; one connection a call, and a second one that
                is opened for a moment by each `tx.outside`.
            budget: how long transient errors are tried again; 40 attempts in 15 s.
            outbox: takes the events, where a database has several; the one of the schema `outbox`.
        """
        outbox = outbox or Outbox()
        self._budget = budget or RetryBudget()
        self._claims = Claims(outbox.schema)
        self._outbox = _OrderedOutbox(outbox)
        self._transaction = CrossDomainTransaction(engine, self._budget, self._claims, self._outbox)

    def run(self, fn: Callable[..., Any], /, *args: Any, key: Key, **kwargs: Any) -> Outcome:
        """Call `fn(tx, *args, **kwargs)` and commit what it did, once for each key.

        The same call again returns the first outcome, so it is safe after a lost reply, from any
        process; two at one moment do the work once. Serialisation failures, deadlocks and lost
        connections are tried again within the budget, and then `fn` is called again: what it does
        outside the database needs an `undo`, see Transaction.outside.

        Args:
            fn: works on `tx.session`, emits events and does named operations; it does not commit,
                roll back, or open a connection of its own. What it returns is the outcome's
                `value`: JSON values, 1,000,000 bytes of them with the results.
            args, kwargs: of `fn`: JSON values, dates, decimals, UUIDs, enums, dataclasses of them.
            key: what is done once, such as `("acme", run.id)`: 1 to 8 parts, text, int or UUID,
                2,000 bytes altogether. It names the work too: another function under the same key
                is a conflict.

        Returns:
            What was committed; `replayed` if an earlier call did it.

        Raises:
            BadInput: the key or an argument breaks its rule.
            KeyConflict: the key was done before, with other arguments; it names them.
            TransactionFailed: nothing was written; its `cause` is the error of `fn`, which is never
                tried again, or of the database.
            CommitOutcomeUnknown: committed or not; the same call later finds out.
        """
        call = Call(key_parts(key), uuid4(), call_digests(fn, args, kwargs))
        if iscoroutinefunction(fn):
            raise WrongUse("fn: is a coroutine function, which an AsyncCoordinator awaits")
        name = getattr(fn, "__qualname__", type(fn).__name__)
        return self._transaction.run(call, Work(name, lambda tx: fn(tx, *args, **kwargs)))

    @contextmanager
    def join(
        self, session: Session, *, key: Key, arguments: Mapping[str, Any] | None = None
    ) -> Iterator[Transaction]:
        """Do the work of a block in the transaction of `session`, once for each key.

        The caller commits, or rolls back, which takes the claim of the key with the rest. Until
        then others who run or join this key wait. The block's error leaves it as it is, and the
        caller rolls back; the database refuses a commit after an error, or inside the block.
        Nothing is tried again; the module says why. What `tx.outside` did is undone after a
        rollback by the next transaction under this key that acts outside, or by `recover`. A block
        cannot be left out, so a repeat enters it too: ask `tx.replayed` first, and take
        `tx.result`.

        Args:
            session: in the caller's transaction, or about to begin one.
            key: as in `run`.
            arguments: what a repeat must bring again, by name.

        Raises:
            BadInput: the key or an argument breaks its rule.
            KeyConflict: the key was done before, with other arguments; it names them.
            NoTransaction: the connection commits each statement itself.
            WrongUse: a repeat, and the block did not ask.
        """
        call = Call(key_parts(key), uuid4(), mapping_digests(arguments or {}))
        earlier = self._claims.claim(session, call)
        outside = OutsideAttempt(session, call.key, call.call_id, self._budget)
        tx = Transaction(session, call.key, outside, earlier)
        try:
            yield tx
            if tx.was_repeated_unasked:
                self._claims.forbid_commit(session)
            tx.must_succeed()
            tx.end(earlier or self._finish(session, call, tx))
        finally:
            tx.end()

    def _finish(self, session: Session, call: Call, tx: Transaction) -> Outcome:
        session.flush()
        self._outbox.add_all(session, tx.events)
        tx.settle_outside()
        return self._claims.record(session, call, tx)


class _OrderedOutbox:
    """The outbox, with the lock that keeps events of a key in commit order."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def add_all(self, session: Session, events: Iterable[OutboxEvent]) -> None:
        """Lock the keys of `events`, and write them."""
        events = list(events)
        lock_keys(session, events)
        self._outbox.add_all(session, events)
