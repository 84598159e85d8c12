"""What the log says, and how often."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from relay.core import effects as do
from relay.core import inputs as told
from relay.core.blockers import Blocker, Blockers
from relay.core.cursor import Cursor
from relay.core.machine import Relay
from relay.core.parking import Parked
from relay.core.reached import Reached
from relay.core.retention import Due, Emptied
from relay.core.snapshot import Snapshot
from relay.daemon import narrator
from relay.daemon.housekeeping import Found
from relay.daemon.narrator import CHECK_URL, WAITS, Narrator

NOTHING = Snapshot(1, 1, frozenset())
CURSOR = Cursor(1, 1, NOTHING, NOTHING)


def row_of(position: int) -> told.Row:
    return (position, f"id-{position}", "t", "k", "type", "text/plain", b"x", "time", None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still; its first element is the time."""
    now = [100.0]
    monkeypatch.setattr(narrator, "monotonic_s", lambda: now[0])
    return now


def test_a_broker_that_stays_away_is_told_less_and_less_often(clock: list[float]) -> None:
    voice = Narrator()
    with capture_logs() as lines:
        for _ in range(3_600):
            voice.broker_trouble("refused")
            clock[0] += 1
    assert len(lines) < 80
    assert lines[-1]["unsaid"] > 30


def test_a_success_lets_the_next_trouble_be_told_at_once(clock: list[float]) -> None:
    voice = Narrator()
    with capture_logs() as lines:
        voice.broker_trouble("refused")
        voice.step(Relay(), do.Send((), 1, Reached("1@1", 0)), told.Acked())
        voice.broker_trouble("refused")
    assert len(lines) == 2


def test_a_broker_that_does_not_answer_is_told_after_ten_twenty_and_forty_seconds() -> None:
    voice = Narrator()
    with capture_logs() as lines:
        for tenths in range(600):
            voice.waiting(tenths / 10)
    assert [line["seconds"] for line in lines] == [10, 20, 40]


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ('FATAL: password authentication failed for user "u"', CHECK_URL),
        ('FATAL: database "x" does not exist', CHECK_URL),
        ("connection refused", WAITS),
    ],
)
def test_a_fault_of_the_configuration_is_not_called_an_outage(reason: str, advice: str) -> None:
    with capture_logs() as lines:
        Narrator().unreachable(reason, 1.0)
    assert lines[0]["advice"] == advice


def found(
    *outcomes: Emptied, blocker_age_s: float | None = None, delays_events: bool = True
) -> Found:
    """A pass that tried leaves of events, with at most one transaction in the way."""
    named: tuple[Blocker, ...] = ()
    if blocker_age_s is not None:
        named = (Blocker(7, None, "report", "active", blocker_age_s, delays_events),)
    leaves = tuple((Due(slot, for_room=True), one) for slot, one in enumerate(outcomes))
    return Found(leaves, (), Blockers(named))


def test_a_writer_that_stays_open_is_named_as_what_delays_its_events() -> None:
    with capture_logs() as lines:
        Narrator().housekeeping(found(blocker_age_s=12.0))
    assert [(line["event"], line["pid"], line["age_s"]) for line in lines] == [
        ("events_delayed", 7, 12.0)
    ]


def test_a_reader_is_named_only_when_a_leaf_could_not_be_emptied() -> None:
    voice = Narrator()
    with capture_logs() as lines:
        voice.housekeeping(found(blocker_age_s=12.0, delays_events=False))
        voice.housekeeping(found(Emptied.IN_USE, blocker_age_s=12.0, delays_events=False))
    assert [line["event"] for line in lines] == ["rotation_blocked"]
    assert lines[0]["application_name"] == "report"


def test_events_that_go_before_their_time_are_told_of() -> None:
    with capture_logs() as lines:
        Narrator().housekeeping(found(Emptied.NEEDED, Emptied.EMPTIED))
    assert [(line["event"], line["leaf"]) for line in lines] == [("retention_cut_short", 1)]


def test_a_failure_of_housekeeping_is_told_once_until_it_changes_or_passes() -> None:
    voice = Narrator()
    with capture_logs() as lines:
        for reason in ("denied", "denied", "away", "away"):
            voice.housekeeping_failed(reason)
        voice.housekeeping(found())
        voice.housekeeping_failed("away")
    assert [line["reason"] for line in lines] == ["denied", "away", "away"]


def test_an_event_that_is_parked_is_named_with_its_reason_and_those_behind_it_are_not() -> None:
    head, behind = (row_of(position) for position in (1, 2))
    saved = do.Save(CURSOR, parked=(Parked(head, "too large", ("t", "k")), Parked(behind)))
    with capture_logs() as lines:
        Narrator().step(Relay(), saved, told.Saved(CURSOR))

    assert [(one["event"], one["event_id"], one["reason"]) for one in lines] == [
        ("event_parked", "id-1", "too large")
    ]


def test_an_event_whose_size_was_known_is_not_called_a_refused_batch() -> None:
    refused = told.Refused("too large", position=1)
    with capture_logs() as lines:
        Narrator().step(Relay(), do.Send([row_of(1), row_of(2)], 1, Reached("1@1", 2)), refused)

    assert lines == []


TRACE = "0af7651916cd43dd8448eb211c80319c"


def traced_row() -> told.Row:
    return (*row_of(1)[:8], f'{{"traceparent": "00-{TRACE}-b7ad6b7169203331-01"}}')


def test_a_line_about_an_event_names_its_topic_its_attempt_and_the_writers_trace() -> None:
    blocked = Relay(rows=[traced_row()], attempts=3)
    with capture_logs() as lines:
        Narrator().step(blocked, do.ReportBlocked("id-1", "denied"), told.Saved(CURSOR))
    about = {"event_id": "id-1", "topic": "t", "attempt": 3, "trace_id": TRACE}
    assert about.items() <= lines[0].items()


def test_so_does_the_line_about_one_that_is_parked() -> None:
    saved = do.Save(CURSOR, parked=(Parked(traced_row(), "too large", ("t", "k")),))
    with capture_logs() as lines:
        Narrator().step(Relay(), saved, told.Saved(CURSOR))
    about = {"event_id": "id-1", "topic": "t", "trace_id": TRACE}
    assert about.items() <= lines[0].items()
