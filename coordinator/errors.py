"""What can go wrong on the writer's side: whose fault it is, whether it heals, what to do.

CoordinatorError
+-- BadInput (ValueError)         the caller's; never heals: change the value that is named
|   +-- InvalidEvent              a field of an event; nothing was written
|   +-- InvalidRun                an argument of execute(); nothing was written
|   +-- KeyConflict               this key was done before, with other arguments
|       +-- RunConflict           this run was completed before, with other arguments
+-- WrongUse (RuntimeError)       the programmer's; never heals: change the code
|   +-- NoTransaction             an event without a transaction that holds it to its cause
|   +-- FacadeEndedTransaction    a domain committed, rolled back, or opened a connection
|   +-- NotConfigured             no engine was given, and the environment names none
|   +-- Leak                      found by `coordinator.testing.watch`, with the file and the line
|   |   +-- EventMissing          a watched table changed in a commit without an event
|   |   +-- ProducedInTransaction a Kafka producer was called inside an open transaction
|   +-- PointNotReached           found by `crash_at`: the call ended, or failed, before the crash
|   +-- PlacesWentBack            the operator's: a consumer's source was put back to an old state
|   +-- HandlerBroken             found by `check_handler`: a handler does not survive a fault
+-- MissingExtra (ImportError)    the installation's; never heals: install the extra that is named
+-- Poison                        the record's: its handler can never take it; it is parked
+-- SchemaRegistryAway            the registry's: nothing was written, the call may be made again
+-- TransactionFailed             see its cause; all is rolled back, the call may be made again
    +-- TraceRefused (BadInput)   the caller's: no such trace, another run's, or completed
    +-- EarlierNotUndone        what an earlier attempt did outside the database is still there, and
    |                           its undo fails: mend that, then make the call again
    +-- CommitOutcomeUnknown      the network's: make the same call again with the same arguments,
                                  it finds out what became of the commit, and completes the rest
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from coordinator.phases import TransactionPhase

if TYPE_CHECKING:
    # Not at run time: a result refuses bad input too, so outcomes imports this module.
    from coordinator.outcomes import DomainAck, DomainResult


class CoordinatorError(Exception):
    """Everything that this package raises on purpose."""


class BadInput(CoordinatorError, ValueError):
    """A value that is refused before anything is written.

    Attributes:
        field: which value.
        problem: what is wrong with it, with the limit; never the value of a payload, a key or a
            header.
    """

    def __init__(self, field: str, problem: str) -> None:
        # By name: in TraceRefused, super() would be TransactionFailed or the other way round.
        CoordinatorError.__init__(self, f"{field}: {problem}")
        self.field = field
        self.problem = problem


class InvalidEvent(BadInput):
    """A field of an event breaks a rule of the outbox."""


class InvalidRun(BadInput):
    """An argument of `execute` breaks a rule."""


class KeyConflict(BadInput):
    """The key was done before, with other arguments; what was done stands.

    Attributes:
        fields: the arguments that differ.
    """

    def __init__(self, subject: str, fields: tuple[str, ...]) -> None:
        super().__init__(
            ", ".join(fields), f"{subject} was done before with other values; its result stands"
        )
        self.fields = fields


class RunConflict(KeyConflict):
    """The run was completed before, with other arguments; what was completed stands.

    Attributes:
        fields: the arguments that differ.
    """

    def __init__(self, tenant_id: str, run_id: str, fields: tuple[str, ...]) -> None:
        super().__init__(f"run {run_id!r} of tenant {tenant_id!r}", fields)


class WrongUse(CoordinatorError, RuntimeError):
    """The calling code has to change."""


class NoTransaction(WrongUse):
    """The connection commits each statement itself: an event could exist without its cause."""


class NotConfigured(WrongUse):
    """No engine was given, and the environment names none."""


class MissingExtra(CoordinatorError, ImportError):
    """A library is not installed that only this part needs."""

    def __init__(self, part: str, extra: str) -> None:
        super().__init__(f"{part} needs more: pip install 'outbox-relay[{extra}]'")


class Leak(WrongUse):
    """What a commit and Kafka say may differ; found by `coordinator.testing.watch`.

    Attributes:
        place: file and line of the code that is to be changed.
    """

    def __init__(self, problem: str, place: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place


class EventMissing(Leak):
    """A watched table changed, and no event was written in the same transaction."""


class ProducedInTransaction(Leak):
    """A Kafka producer was called inside an open transaction, which may yet be rolled back."""


class PointNotReached(WrongUse):
    """The call was to be killed at a point that it did not come to."""


class PlacesWentBack(WrongUse):
    """An event stands where older ones stood: the source's database was put back, or rewritten.

    It was not taken, and nothing is lost as long as the consumer stands still.
    """

    def __init__(self, epoch: str, place: str) -> None:
        super().__init__(
            f"ce_sequence: {place} of epoch {epoch} was passed, and this event is younger than all "
            "that were taken: the source's database was put back to an earlier state without a new "
            "timeline. Stop its relay, begin a new epoch there (README, Marks), start the relay "
            "again, and let this consumer use the memory `ids` until it is past what came under "
            "the old epoch"
        )


class HandlerBroken(WrongUse):
    """A consumer's handler has another effect under a fault that is allowed to happen.

    Attributes:
        faults: what changes the effect, each with its first schedule and what came of it.
    """

    def __init__(self, faults: Mapping[str, str], seed: int) -> None:
        lines = "".join(f"\n  {fault}: {found}" for fault, found in faults.items())
        super().__init__(f"the handler does not survive (seed {seed}):{lines}")
        self.faults = dict(faults)


class SchemaRegistryAway(CoordinatorError):
    """The Schema Registry did not answer, so an event could not be made; nothing was written."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the Schema Registry did not answer ({reason}); try again later")


class FacadeEndedTransaction(WrongUse):
    """A domain's code, or a consumer's handler, did what only the coordinator or the loop may do.

    Attributes:
        operation: the domain operation that did it, or the consumer.
        deed: what it did.
        file, line: of the call, in the domain's own code; None where it was found out later.
    """

    def __init__(
        self, operation: str, deed: str, file: str | None = None, line: int | None = None
    ) -> None:
        place = "" if file is None else f" at {file}:{line}"
        super().__init__(
            f"{operation!r} called {deed}{place}: it works on the session that it is handed, and "
            "only who handed it over commits or rolls back"
        )
        self.operation = operation
        self.deed = deed
        self.file = file
        self.line = line


class Poison(CoordinatorError):
    """Raised by a consumer's handler: this record can never be handled, so park it at once.

    Its message is stored as the reason: name the problem, and no value that must not be seen there.
    """


class TransactionFailed(CoordinatorError):
    """Everything is rolled back, nothing will be published.

    Attributes:
        message: what failed.
        phase: the last phase that was reached before it failed: a TransactionPhase, or what an
            operation of one's own named.
        partial_results: what the domains had done by then; rolled back with the rest.
        cause: the error itself, if there was one.
        acks: what became of each rollback action, in the order in which they ran.
    """

    def __init__(
        self,
        message: str,
        phase: str = TransactionPhase.FAILED,
        partial_results: Mapping[str, DomainResult] | None = None,
        cause: BaseException | None = None,
        acks: Sequence[DomainAck] = (),
    ) -> None:
        CoordinatorError.__init__(self, message)
        self.message = message
        self.phase = phase
        self.partial_results = dict(partial_results or {})
        self.cause = cause
        self.acks = tuple(acks)


class TraceRefused(TransactionFailed, BadInput):
    """The trace does not exist, belongs to another run or tenant, or is completed already."""

    def __init__(self, problem: str) -> None:
        TransactionFailed.__init__(self, f"trace_id: {problem}", TransactionPhase.NOT_STARTED)
        BadInput.__init__(self, "trace_id", problem)


class EarlierNotUndone(TransactionFailed):
    """An earlier attempt under this key left an effect outside the database that cannot be undone.

    Nothing was done on top of it: a later undo could take back the new effect with the old one.

    Attributes:
        undo: the name of the undo.
    """

    def __init__(self, undo: str, problem: str) -> None:
        super().__init__(
            f"an earlier attempt under this key left an effect outside the database, and its undo "
            f"{undo!r} did not take it back: {problem}"
        )
        self.undo = undo


class CommitOutcomeUnknown(TransactionFailed):
    """The commit's reply was lost, and the database could not be asked again within the budget."""
