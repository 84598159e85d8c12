"""What the log says, and how often."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from relay.core import effects as do
from relay.core import inputs as told
from relay.core.cursor import Cursor
from relay.core.machine import Relay
from relay.core.parking import Parked
from relay.core.snapshot import Snapshot
from relay.daemon import narrator
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
        voice.step(Relay(), do.Send((), 1), told.Acked())
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
        Narrator().step(Relay(), do.Send([row_of(1), row_of(2)], 1), refused)

    assert lines == []
