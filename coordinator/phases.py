"""How far a transaction got, and which step may follow which.

A table, so that an illegal step cannot be taken quietly.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType


class TransactionPhase(StrEnum):
    """The last thing reached. Only from COMMITTED on does anything of it exist for others."""

    NOT_STARTED = "not_started"
    INCIDENT_CREATED = "incident_created"
    POLICY_EVALUATED = "policy_evaluated"
    TRACE_COMPLETED = "trace_completed"
    COMMITTED = "committed"
    EVENTS_PUBLISHED = "events_published"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"


_P = TransactionPhase
_WORKING = (_P.NOT_STARTED, _P.INCIDENT_CREATED, _P.POLICY_EVALUATED, _P.TRACE_COMPLETED)

# Operations of a user's own may come in any order and skip phases, but never go back to an earlier
# one.
TRANSITIONS = MappingProxyType(
    {
        **{
            phase: frozenset({*_WORKING[place:], _P.COMMITTED, _P.ROLLED_BACK, _P.FAILED})
            for place, phase in enumerate(_WORKING)
        },
        _P.COMMITTED: frozenset({_P.EVENTS_PUBLISHED}),
        _P.EVENTS_PUBLISHED: frozenset(),
        _P.ROLLED_BACK: frozenset(),
        _P.FAILED: frozenset(),
    }
)


def advance(present: TransactionPhase, following: TransactionPhase) -> TransactionPhase:
    """Return `following`.

    Raises:
        ValueError: the table does not lead from `present` to `following`.
    """
    if following not in TRANSITIONS[present]:
        raise ValueError(f"no step leads from {present.name} to {following.name}")
    return following
