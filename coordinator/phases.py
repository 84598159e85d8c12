"""How far a transaction got, and which step may follow which.

A table, so that an illegal step cannot be taken quietly. A transaction of one's own names its
phases itself; they lie between the start and the commit, in any order.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

Phase = TypeVar("Phase", bound=str)


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
TRANSITIONS: Mapping[str, frozenset[TransactionPhase]] = MappingProxyType(
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

# What only the engine may say: an operation reaches none of them.
ENGINE_PHASES = frozenset(TransactionPhase) - frozenset(_WORKING[1:])


def advance(present: str, following: Phase) -> Phase:
    """Return `following`.

    Args:
        present, following: members of TransactionPhase, or names of one's own, which may stand
            anywhere between the members.

    Raises:
        ValueError: the table does not lead from `present` to `following`.
    """
    ours = present in TRANSITIONS and following in TRANSITIONS
    if ours and following not in TRANSITIONS[present]:
        raise ValueError(f"no step leads from {phase_name(present)} to {phase_name(following)}")
    return following


def phase_name(phase: str) -> str:
    """Return how a phase is written in a message."""
    return phase.name if isinstance(phase, TransactionPhase) else phase
