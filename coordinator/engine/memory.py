"""What is done already: the engine asks it before the work, and tells it after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from uuid import UUID

from sqlalchemy.orm import Session

from coordinator.engine.work import Transaction
from coordinator.outcomes import DomainAck


class Replayable(Protocol):
    """What a memory keeps of a call."""

    @property
    def replayed(self) -> bool:
        """Whether another call made it."""


Record = TypeVar("Record", bound=Replayable)
Record_co = TypeVar("Record_co", bound=Replayable, covariant=True)


@dataclass(frozen=True, slots=True)
class Call:
    """One call under a key.

    Attributes:
        key: what may be done once.
        call_id: made anew for each call, kept over its attempts: so a call knows its own record
            when the commit's reply was lost.
        arguments: all others, as JSON values; a repeat must bring the same.
    """

    key: tuple[str, ...]
    call_id: UUID
    arguments: Mapping[str, Any]

    def differing(self, recorded: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names of the arguments that differ from those `recorded`."""
        names = [*self.arguments, *(name for name in recorded if name not in self.arguments)]
        return tuple(
            name
            for name in names
            if (name in recorded) != (name in self.arguments)
            or recorded[name] != self.arguments[name]
        )


class Memory(Protocol[Record_co]):
    """Keeps, in tables of its own, which keys are done; holds no state itself."""

    def claim(self, session: Session, call: Call) -> Record_co | None:
        """Claim the key for this transaction, or return what an earlier commit recorded of it.

        Waits for a transaction that holds the key, and reads what that one left: so it also tells
        whether a commit happened whose reply was lost.

        Raises:
            KeyConflict: an earlier call had other arguments.
        """

    def record(self, session: Session, call: Call, work: Transaction) -> Record_co:
        """Write last what `claim` finds later, and return it."""

    def acknowledge(self, session: Session, call: Call, ack: DomainAck) -> None:
        """Write what became of a rollback action."""
