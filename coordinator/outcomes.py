"""What a caller reads: a result a domain, one for the whole, an ack a rollback action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from coordinator.phases import TransactionPhase, advance
from coordinator.publication import Publishable


@dataclass(frozen=True, slots=True)
class DomainResult:
    """What one domain did.

    Attributes:
        domain: the domain's name, e.g. `incident`.
        success: whether the domain has done what was asked of it.
        id: the row it wrote; None where there was nothing to write.
        needed: False where the run asked nothing of this domain (a run that succeeded needs no
            incident).
        detail: JSON values for the caller to read; texts, numbers, booleans.
    """

    domain: str
    success: bool = True
    id: str | None = None
    needed: bool = True
    detail: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "domain": self.domain,
            "success": self.success,
            "id": self.id,
            "needed": self.needed,
            "detail": dict(self.detail),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> DomainResult:
        """Return the result that `to_dict` wrote."""
        return cls(**stored)


@dataclass(frozen=True, slots=True)
class TransactionResult(Publishable):
    """What a completed run left behind.

    Attributes:
        tenant_id, run_id: which run.
        phase: COMMITTED; EVENTS_PUBLISHED once `wait_published` has answered True.
        results: one DomainResult a domain, in the order in which they ran.
        event_ids: idempotency keys of the run's events by their type; empty where events were
            skipped.
        replayed: True where an earlier call completed this run, and this is what that call got.
    """

    tenant_id: str
    run_id: str
    phase: TransactionPhase
    results: Mapping[str, DomainResult]
    event_ids: Mapping[str, UUID]
    replayed: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether everything is committed."""
        return self.phase in (TransactionPhase.COMMITTED, TransactionPhase.EVENTS_PUBLISHED)

    @property
    def all_domains_succeeded(self) -> bool:
        """Whether each domain has done what was asked of it; one that was not needed has."""
        return all(result.success for result in self.results.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "tenant_id": self.tenant_id,
            "run_id": self.run_id,
            "phase": self.phase.value,
            "is_complete": self.is_complete,
            "all_domains_succeeded": self.all_domains_succeeded,
            "results": [result.to_dict() for result in self.results.values()],
            "event_ids": {type_: str(event_id) for type_, event_id in self.event_ids.items()},
            "replayed": self.replayed,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], *, replayed: bool) -> TransactionResult:
        """Return what `to_dict` wrote; `replayed` where a repeat of the call reads it."""
        results = [DomainResult.from_dict(result) for result in stored["results"]]
        return cls(
            tenant_id=stored["tenant_id"],
            run_id=stored["run_id"],
            phase=TransactionPhase(stored["phase"]),
            results={result.domain: result for result in results},
            event_ids={type_: UUID(event_id) for type_, event_id in stored["event_ids"].items()},
            replayed=replayed,
        )

    def _heard(self, published: bool) -> bool:
        if published and self.phase is TransactionPhase.COMMITTED:
            # Frozen for all others. This alone becomes true later, and never false again.
            phase = advance(self.phase, TransactionPhase.EVENTS_PUBLISHED)
            object.__setattr__(self, "phase", phase)
        return published


@dataclass(frozen=True, slots=True)
class Outcome(Publishable):
    """What a transaction under a key left behind.

    Attributes:
        value: what its function returned, as JSON values: a tuple has become a list.
        results: one DomainResult a named operation, in the order in which they ran.
        event_ids: idempotency keys of its events, in the order in which they were emitted.
        replayed: True where an earlier call did the work, and this is what that call got.
    """

    value: Any
    results: Mapping[str, DomainResult]
    event_ids: tuple[UUID, ...]
    replayed: bool = False

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], *, replayed: bool) -> Outcome:
        """Return what stands in a record; `replayed` where a repeat of the call reads it."""
        return cls(
            value=stored["value"],
            results={
                name: DomainResult.from_dict(result) for name, result in stored["results"].items()
            },
            event_ids=tuple(UUID(event_id) for event_id in stored["event_ids"]),
            replayed=replayed,
        )


@dataclass(frozen=True, slots=True)
class DomainAck:
    """What became of one rollback action.

    Attributes:
        domain: whose action it was.
        action: the action's name.
        reason: why the transaction was rolled back; an error's type and message.
        action_succeeded: whether the action ended without an error.
        action_error: that error, or None.
        status: always `rolled_back`: the domain's own rows are gone with the transaction.
    """

    domain: str
    action: str
    reason: str
    action_succeeded: bool
    action_error: str | None = None
    status: str = "rolled_back"
