"""Who keeps events, or the emptying of a leaf, waiting: as a value, and how often that is told.

An open transaction that has written events delays those, and pins the leaf that they lie in. One
that has only read from the outbox (a report, a dump) delays no event, and pins every leaf that it
looked at. Prepared and forgotten, either does so for ever.

Never told: what the session runs. It may hold values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["BLOCKS_AFTER_S", "Blocker", "Blockers", "TellsSeldom"]

BLOCKS_AFTER_S = 10.0
"""A transaction that is open for so long is named. Writers take milliseconds."""


@dataclass(frozen=True, slots=True)
class Blocker:
    """A transaction that goes on.

    pid               of its session; None when it is prepared
    gid               the name that it was prepared under
    application_name  what its session calls itself; the owner's name when it is prepared
    state             of its session, as pg_stat_activity has it; `prepared`
    age_seconds       since it began, or was prepared
    delays_events     whether it has written events; otherwise it is in the way of rotation alone
    """

    pid: int | None
    gid: str | None
    application_name: str
    state: str
    age_seconds: float
    delays_events: bool


@dataclass(frozen=True, slots=True)
class Blockers:
    """Those that are named, oldest first, and how many sessions hold the outbox whose age this
    role may not see."""

    named: tuple[Blocker, ...] = ()
    hidden: int = 0


class TellsSeldom:
    """Lets each blocker be told when it is found, and again each time its age has doubled."""

    def __init__(self) -> None:
        self._tell_at_s: dict[tuple[int | None, str | None], float] = {}

    def worth_telling(self, blockers: Sequence[Blocker]) -> list[Blocker]:
        """Those of the `blockers` of this moment that are to be told now."""
        due = [one for one in blockers if one.age_seconds >= self._tell_at_s.get(_name(one), 0.0)]
        here = {_name(one) for one in blockers}
        self._tell_at_s = {name: at for name, at in self._tell_at_s.items() if name in here}
        self._tell_at_s |= {_name(one): 2 * one.age_seconds for one in due}
        return due


def _name(blocker: Blocker) -> tuple[int | None, str | None]:
    return blocker.pid, blocker.gid
