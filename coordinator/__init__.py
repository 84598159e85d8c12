"""Complete runs and write events in one commit: the writer's side of the outbox.

The names load when they are first used, so that importing one costs no more than it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coordinator.domains.facade import FinishedRun as FinishedRun
    from coordinator.domains.facade import RunStatus as RunStatus
    from coordinator.domains.governance import GovernanceFacade as GovernanceFacade
    from coordinator.domains.incident import IncidentFacade as IncidentFacade
    from coordinator.domains.trace import TraceFacade as TraceFacade
    from coordinator.engine.async_coordinator import AsyncCoordinator as AsyncCoordinator
    from coordinator.engine.async_work import AsyncTransaction as AsyncTransaction
    from coordinator.engine.coordinator import Coordinator as Coordinator
    from coordinator.engine.operation import RollbackAction as RollbackAction
    from coordinator.engine.recover import LeftEffect as LeftEffect
    from coordinator.engine.recover import Recovery as Recovery
    from coordinator.engine.recover import recover as recover
    from coordinator.engine.retry import RetryBudget as RetryBudget
    from coordinator.engine.undo_registry import undo as undo
    from coordinator.engine.work import Transaction as Transaction
    from coordinator.errors import BadInput as BadInput
    from coordinator.errors import CommitOutcomeUnknown as CommitOutcomeUnknown
    from coordinator.errors import CoordinatorError as CoordinatorError
    from coordinator.errors import EarlierNotUndone as EarlierNotUndone
    from coordinator.errors import FacadeEndedTransaction as FacadeEndedTransaction
    from coordinator.errors import HandlerBroken as HandlerBroken
    from coordinator.errors import InvalidEvent as InvalidEvent
    from coordinator.errors import InvalidRun as InvalidRun
    from coordinator.errors import KeyConflict as KeyConflict
    from coordinator.errors import MissingExtra as MissingExtra
    from coordinator.errors import NotConfigured as NotConfigured
    from coordinator.errors import NoTransaction as NoTransaction
    from coordinator.errors import PlacesWentBack as PlacesWentBack
    from coordinator.errors import Poison as Poison
    from coordinator.errors import RunConflict as RunConflict
    from coordinator.errors import SchemaRegistryAway as SchemaRegistryAway
    from coordinator.errors import TraceRefused as TraceRefused
    from coordinator.errors import TransactionFailed as TransactionFailed
    from coordinator.errors import WrongUse as WrongUse
    from coordinator.event import OutboxEvent as OutboxEvent
    from coordinator.inbox.forget import forget as forget
    from coordinator.inbox.ids import Ids as Ids
    from coordinator.inbox.once import first_seen as first_seen
    from coordinator.inbox.once import once as once
    from coordinator.inbox.release import discard as discard
    from coordinator.inbox.release import release as release
    from coordinator.outbox.schema_registry import RegisteredSchema as RegisteredSchema
    from coordinator.outbox.writer import Outbox as Outbox
    from coordinator.outcomes import DomainAck as DomainAck
    from coordinator.outcomes import DomainResult as DomainResult
    from coordinator.outcomes import Outcome as Outcome
    from coordinator.outcomes import TransactionResult as TransactionResult
    from coordinator.phases import TransactionPhase as TransactionPhase
    from coordinator.runs.async_completion import (
        AsyncRunCompletionTransaction as AsyncRunCompletionTransaction,
    )
    from coordinator.runs.completion import RunCompletionTransaction as RunCompletionTransaction
    from coordinator.runs.factory import (
        create_transaction_coordinator as create_transaction_coordinator,
    )
    from coordinator.runs.factory import get_transaction_coordinator as get_transaction_coordinator
    from coordinator.runs.factory import set_transaction_coordinator as set_transaction_coordinator

_HOMES = {
    "coordinator.domains.facade": ("FinishedRun", "RunStatus"),
    "coordinator.domains.governance": ("GovernanceFacade",),
    "coordinator.domains.incident": ("IncidentFacade",),
    "coordinator.domains.trace": ("TraceFacade",),
    "coordinator.engine.async_coordinator": ("AsyncCoordinator",),
    "coordinator.engine.async_work": ("AsyncTransaction",),
    "coordinator.engine.coordinator": ("Coordinator",),
    "coordinator.engine.operation": ("RollbackAction",),
    "coordinator.engine.recover": ("LeftEffect", "Recovery", "recover"),
    "coordinator.engine.retry": ("RetryBudget",),
    "coordinator.engine.undo_registry": ("undo",),
    "coordinator.engine.work": ("Transaction",),
    "coordinator.errors": (
        "BadInput",
        "CommitOutcomeUnknown",
        "CoordinatorError",
        "EarlierNotUndone",
        "FacadeEndedTransaction",
        "HandlerBroken",
        "InvalidEvent",
        "InvalidRun",
        "KeyConflict",
        "MissingExtra",
        "NoTransaction",
        "NotConfigured",
        "PlacesWentBack",
        "Poison",
        "RunConflict",
        "SchemaRegistryAway",
        "TraceRefused",
        "TransactionFailed",
        "WrongUse",
    ),
    "coordinator.event": ("OutboxEvent",),
    "coordinator.inbox.forget": ("forget",),
    "coordinator.inbox.ids": ("Ids",),
    "coordinator.inbox.once": ("first_seen", "once"),
    "coordinator.inbox.release": ("discard", "release"),
    "coordinator.outbox.writer": ("Outbox",),
    "coordinator.outcomes": ("DomainAck", "DomainResult", "Outcome", "TransactionResult"),
    "coordinator.phases": ("TransactionPhase",),
    "coordinator.runs.async_completion": ("AsyncRunCompletionTransaction",),
    "coordinator.runs.completion": ("RunCompletionTransaction",),
    "coordinator.runs.factory": (
        "create_transaction_coordinator",
        "get_transaction_coordinator",
        "set_transaction_coordinator",
    ),
}
# Not in __all__: `import *` would ask for the extra `registry`.
_HOMES_OF_EXTRAS = {"coordinator.outbox.schema_registry": ("RegisteredSchema",)}

_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
_HOME_OF_EXTRA = {name: module for module, names in _HOMES_OF_EXTRAS.items() for name in names}

__all__ = [  # noqa: PLE0604 - the table above is the one list of the names
    *_HOME_OF
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name) or _HOME_OF_EXTRA.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*_HOME_OF, *_HOME_OF_EXTRA])
