"""When the rings are emptied, and topics that are missing are looked for: by the leader, beside the
publishing, every few seconds.

In a thread and on a connection of its own, since a pass must not hold up a page, a commit or a
renewal of the lease. The connection is opened for a pass and closed after it: a leader holds three
connections, and a fourth for some milliseconds now and then. Whatever goes wrong here is told and
tried again; publishing goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from relay.core.blockers import BLOCKS_AFTER_S, Blockers
from relay.core.retention import (
    EVENT_RING,
    LOG_RING,
    PASS_AGAIN_S,
    Due,
    Emptied,
    Ring,
    Survey,
    due,
    mark_every_s,
    next_pass_s,
)
from relay.errors import Fenced, RelayError, told_bug
from relay.ports import AwaitedTopics, Rotation

__all__ = ["Found", "Housekeeping", "Keeping", "RotationPass"]


PASS_ENDS_WITHIN_S = 0.5
"""A pass takes some 20 ms."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long published events are kept: for so long, and in no more than so many bytes.

    The bytes are of all leaves of events with their indexes; None: no limit.
    """

    retention_s: float
    bytes_max: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a pass came to, for the log."""

    events: tuple[tuple[Due, Emptied], ...]
    log: tuple[tuple[Due, Emptied], ...]
    blockers: Blockers
    appeared: frozenset[str] = frozenset()
    written: tuple[int, int] = (0, 0)
    """The newest position, and the newest window."""

    @property
    def outcomes(self) -> list[Emptied]:
        """Of every leaf that was tried."""
        return [outcome for _, outcome in (*self.events, *self.log)]


class RotationPass:
    """One pass: look at the rings, then empty at most one leaf of each."""

    def __init__(
        self,
        rotation: Rotation,
        keeping: Keeping,
        event_ring: Ring = EVENT_RING,
        log_ring: Ring = LOG_RING,
    ) -> None:
        self._rotation = rotation
        self._keeping = keeping
        self._event_ring = event_ring
        self._log_ring = log_ring

    def run(self) -> Found:
        """The whole of it. Raises Fenced when the term is over, Unreachable, UnsafeDatabase."""
        survey = self.look()
        events, log = self.empty_events(survey), self.empty_log(survey)
        blockers = self._rotation.blockers(BLOCKS_AFTER_S)
        return Found(events, log, blockers, written=(survey.position, survey.number))

    def look(self) -> Survey:
        """How the rings stand; on the way, milestones are set down and dropped."""
        self._rotation.mark(mark_every_s(self._keeping.retention_s))
        survey = self._rotation.survey(self._keeping.retention_s)
        if survey.old is not None:
            self._rotation.forget_before(survey.old)
        return survey

    def empty_events(self, survey: Survey) -> tuple[tuple[Due, Emptied], ...]:
        """Try leaves of events until one is emptied.

        A leaf that a forgotten transaction pins is passed by.
        """
        bytes_max = self._keeping.bytes_max
        leaves = due(self._event_ring, survey.position, survey.event_bytes, bytes_max)
        old = None if survey.old is None else survey.old.snapshot
        return _until_emptied(
            [one for one in leaves if one.for_room or old is not None],
            lambda leaf: self._rotation.empty_events(leaf.slot, None if leaf.for_room else old),
        )

    def empty_log(self, survey: Survey) -> tuple[tuple[Due, Emptied], ...]:
        """Try leaves of the log until one is emptied."""
        keep_s = self._keeping.retention_s
        return _until_emptied(
            due(self._log_ring, survey.number, survey.log_bytes),
            lambda leaf: self._rotation.empty_log(leaf.slot, 0.0 if leaf.for_room else keep_s),
        )


def _until_emptied(
    leaves: Sequence[Due], empty: Callable[[Due], Emptied]
) -> tuple[tuple[Due, Emptied], ...]:
    tried: list[tuple[Due, Emptied]] = []
    for leaf in leaves:
        tried.append((leaf, empty(leaf)))
        if tried[-1][1] is Emptied.EMPTIED:
            break
    return tuple(tried)


class Housekeeping:
    """The thread that makes a pass every few seconds, for as long as one term lasts."""

    def __init__(
        self,
        open_stores: Callable[[], AbstractContextManager[tuple[Rotation, AwaitedTopics]]],
        keeping: Keeping,
        there: Callable[[frozenset[str]], frozenset[str]],
        trusted: Callable[[], bool],
        on_pass: Callable[[Found], None],
        on_trouble: Callable[[str], None],
    ) -> None:
        """`open_stores` connects for one pass; `trusted`: whether the lease still is; `there` tells
        which topics exist, of those that are waited for.

        `on_trouble` is told, in words, why a pass failed.
        """
        self._open_stores = open_stores
        self._keeping = keeping
        self._there = there
        self._trusted = trusted
        self._on_pass = on_pass
        self._written = (-1, -1)
        self._on_trouble = on_trouble
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begin; the first pass is made soon."""
        self._thread.start()

    def close(self) -> None:
        """Make no other pass, and wait a little for one that goes on.

        Not for long: a stop hands over within a second, and a pass ends by itself.
        """
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(PASS_ENDS_WITHIN_S)

    def _keep(self) -> None:
        rest_s = PASS_AGAIN_S
        while not self._stopping.wait(rest_s):
            if self._trusted():
                rest_s = self._pass()

    def _pass(self) -> float:
        """One pass; seconds until the next."""
        try:
            with self._open_stores() as (rotation, awaited):
                # First, so that a leaf that cannot be emptied does not keep events waiting.
                missing = awaited.missing()
                appeared = self._release(awaited, missing)
                found = RotationPass(rotation, self._keeping).run()
        except Fenced:
            # The pump meets the same, and steps down.
            self._stopping.set()
            return PASS_AGAIN_S
        except RelayError as problem:
            self._on_trouble(str(problem))
            return next_pass_s([])
        except Exception as problem:  # noqa: BLE001 - a bug here must not end the thread unseen
            self._on_trouble(told_bug(problem))
            return next_pass_s([])
        self._on_pass(replace(found, appeared=appeared))
        quiet = found.written == self._written and not found.blockers.named and not missing
        self._written = found.written
        return next_pass_s(found.outcomes, quiet=quiet)

    def _release(self, awaited: AwaitedTopics, missing: frozenset[str]) -> frozenset[str]:
        """Let the events of topics go that were missing and are there now."""
        appeared = self._there(missing) if missing else missing
        if appeared:
            awaited.release(appeared)
        return appeared
