"""What the daemon tells those who read its log: what went wrong, what it means, what to do.

A step that went well is not told. What repeats is told less and less often, so that a night without
a broker does not fill a disk and its first line can still be found.
"""

from __future__ import annotations

from collections.abc import Sequence

from relay.core import effects as do
from relay.core import inputs as told
from relay.core.blockers import Blocker, TellsSeldom
from relay.core.machine import Relay
from relay.core.parking import BEHIND, Parked
from relay.core.retention import Emptied
from relay.core.trace_context import trace_id
from relay.daemon.clock import monotonic_s
from relay.daemon.housekeeping import Found
from relay.observe.logs import Logger, log

__all__ = ["Narrator"]

LONGEST_QUIET_S = 60.0
SLOW_ACK_S = 10.0

WAITS = "events wait in the database; it goes on by itself"
CHECK_URL = "check RELAY_DATABASE_URL, or the one of this outbox; this does not pass by itself"
KEY_WAITS = "its key waits behind it, others flow: see `relay parked list`"
TOPIC_AWAITED = "the topic's events wait, others flow; they go out by themselves once it is there"
CUT_SHORT = (
    "the ring was full, or larger than RELAY_RETENTION_BYTES: published events went before their "
    "time; nothing unpublished is ever dropped"
)
DELAYED = "its events are published once it ends; end it, or pg_terminate_backend, if it never will"
IN_THE_WAY = "published events are kept until it ends, and the ring grows meanwhile"
NOT_EMPTIED = "publishing goes on; the ring grows until this is mended"
NOT_PASSING = (
    "authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "failed to resolve host",
)


class Narrator:
    """One relay's voice."""

    def __init__(self, logger: Logger = log) -> None:
        """`logger` names the outbox, where there are several."""
        self._log = logger
        self._quiet_s = 0.0
        self._quiet_until_s = 0.0
        self._unsaid = 0
        self._slow_after_s = SLOW_ACK_S
        self._delayed = TellsSeldom()
        self._in_the_way = TellsSeldom()
        self._trouble = ""

    def step(self, relay: Relay, effect: do.Effect, outcome: told.Input) -> None:
        """Tell of a step of the machine."""
        match effect, outcome:
            case _, told.Acked():
                self._quiet_s = self._quiet_until_s = 0.0
                self._slow_after_s = SLOW_ACK_S
            case _, told.Doubtful(reason):
                self._log.warning(
                    "delivery_in_doubt", reason=reason, tried=relay.attempts + 1, advice=WAITS
                )
            case do.Send(rows, _, _), told.Refused(reason, None, None) if len(rows) > 1:
                advice = "sent again in halves; if it recurs, set RELAY_KAFKA_BATCH_SIZE lower"
                self._log.warning("batch_refused", events=len(rows), reason=reason, advice=advice)
            case do.ReportBlocked(_, reason), _:
                advice = (
                    "later events wait behind it; it goes on by itself once the broker takes it"
                )
                about = _about(relay.slice[0], relay.attempts)
                self._log.error("event_refused", **about, reason=reason, advice=advice)
            case do.Save(_, unblocks, parked), told.Saved():
                if unblocks:
                    self._log.info("event_accepted", advice="delivery goes on")
                self._set_aside(parked)

    def _set_aside(self, parked: Sequence[Parked]) -> None:
        """Name each event that the broker refused, and not those behind it."""
        for row, reason, hold, passing in parked:
            if reason != BEHIND:
                advice = TOPIC_AWAITED if passing else KEY_WAITS
                held = hold is not None
                self._log.error(
                    "event_parked", **_about(row), reason=reason, holds_key=held, advice=advice
                )

    def broker_trouble(self, reason: str) -> None:
        """Tell what the client says of its connections, at most once in a growing while."""
        now_s = monotonic_s()
        if now_s < self._quiet_until_s:
            self._unsaid += 1
            return
        self._log.warning("broker_trouble", reason=reason, unsaid=self._unsaid, advice=WAITS)
        self._quiet_s = min(max(1.0, 2 * self._quiet_s), LONGEST_QUIET_S)
        self._quiet_until_s = now_s + self._quiet_s
        self._unsaid = 0

    def waiting(self, seconds: float) -> None:
        """Tell that the broker has not acknowledged for so long: after 10 s, 20 s, 40 s, ..."""
        if seconds >= self._slow_after_s:
            self._log.warning("waiting_for_broker", seconds=round(seconds, 1), advice=WAITS)
            self._slow_after_s *= 2

    def unreachable(self, reason: str, retry_in_s: float) -> None:
        """Tell that the database is away, or that it never will be there as configured."""
        passing = not any(mark in reason for mark in NOT_PASSING)
        advice = WAITS if passing else CHECK_URL
        self._log.warning("unreachable", reason=reason, retry_in_s=retry_in_s, advice=advice)

    def lease_request_failed(self, reason: str) -> None:
        """Tell that the elector could not ask."""
        self._log.warning("lease_request_failed", reason=reason, advice="asked again at once")

    def housekeeping(self, found: Found) -> None:
        """Tell of a pass: what was emptied early, who is in the way, and which topics came to be.

        Called in another thread than the rest; it shares nothing with that.
        """
        self._trouble = ""
        for topic in sorted(found.appeared):
            self._log.info("topic_appeared", topic=topic, advice="its events are published now")
        for leaf, outcome in found.events:
            if leaf.for_room and outcome is Emptied.EMPTIED:
                self._log.warning("retention_cut_short", leaf=leaf.slot, advice=CUT_SHORT)
        writers = [one for one in found.blockers.named if one.delays_events]
        for one in self._delayed.worth_telling(writers):
            self._log.warning("events_delayed", **_of(one), advice=DELAYED)
        in_use = Emptied.IN_USE in found.outcomes
        for one in self._in_the_way.worth_telling(found.blockers.named if in_use else ()):
            self._log.warning("rotation_blocked", **_of(one), advice=IN_THE_WAY)

    def housekeeping_failed(self, reason: str) -> None:
        """Tell that a pass over the rings failed, unless the last one did for the same reason."""
        if reason != self._trouble:
            self._log.warning("housekeeping_failed", reason=reason, advice=NOT_EMPTIED)
        self._trouble = reason


def _about(row: told.Row, attempt: int = 0) -> dict[str, object]:
    """What a line says of an event; its key is left out there, unless it was asked for (logs)."""
    said: dict[str, object] = {"event_id": row[1], "topic": row[2], "key": row[3]}
    if attempt:
        said["attempt"] = attempt
    if found := trace_id(row):
        said["trace_id"] = found
    return said


def _of(blocker: Blocker) -> dict[str, object]:
    """What a line says of a transaction; never what it runs."""
    return {
        "pid": blocker.pid,
        "gid": blocker.gid,
        "application_name": blocker.application_name,
        "state": blocker.state,
        "age_s": round(blocker.age_seconds, 1),
    }
