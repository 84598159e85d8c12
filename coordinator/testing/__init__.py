"""For the tests of services that write or take events: "Testing your service" in README.md here.

The names load when they are first used: the pytest plugin costs nothing where it is not used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coordinator.errors import EventMissing as EventMissing
    from coordinator.errors import HandlerBroken as HandlerBroken
    from coordinator.errors import Leak as Leak
    from coordinator.errors import PointNotReached as PointNotReached
    from coordinator.errors import ProducedInTransaction as ProducedInTransaction
    from coordinator.testing.committed_events import CommittedEvents as CommittedEvents
    from coordinator.testing.consumer_faults import check_batch_handler as check_batch_handler
    from coordinator.testing.consumer_faults import check_handler as check_handler
    from coordinator.testing.crash import crash_at as crash_at
    from coordinator.testing.leaks import Watch as Watch
    from coordinator.testing.leaks import unwatched as unwatched
    from coordinator.testing.leaks import watch as watch
    from coordinator.testing.made_records import relay_records as relay_records
    from coordinator.testing.memory_outbox import InMemoryOutbox as InMemoryOutbox

_HOMES = {
    "coordinator.errors": (
        "EventMissing",
        "HandlerBroken",
        "Leak",
        "PointNotReached",
        "ProducedInTransaction",
    ),
    "coordinator.testing.committed_events": ("CommittedEvents",),
    "coordinator.testing.consumer_faults": ("check_batch_handler", "check_handler"),
    "coordinator.testing.crash": ("crash_at",),
    "coordinator.testing.leaks": ("Watch", "unwatched", "watch"),
    "coordinator.testing.made_records": ("relay_records",),
    "coordinator.testing.memory_outbox": ("InMemoryOutbox",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [  # noqa: PLE0604 - the table above is the one list of the names
    *_HOME_OF
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(_HOME_OF)
