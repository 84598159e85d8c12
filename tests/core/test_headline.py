"""The sentence that is read first names the worst, in the order in which a person can act."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay.core.blockers import Blocker, Blockers
from relay.core.board import NAME_BYTES_MAX, Board, Connected, Waiting
from relay.core.headline import LATE_S, headline
from relay.core.status import Blocked, Status

IDLE = Status(0, 0.0, "host/1/ab", 3, 0, 0, 9, None)
OPEN = Blockers((Blocker(7, None, "report", "idle in transaction", 60.0, delays_events=True),))
BLOCKED = Blocked("id-1", "refused", 5.0)
LATE = replace(IDLE, pending=7, oldest_pending_seconds=LATE_S + 1)


@pytest.mark.parametrize(
    ("status", "tone", "word"),
    [
        (IDLE, "good", "nothing waits"),
        (replace(IDLE, pending=3, oldest_pending_seconds=0.1), "good", "Delivering."),
        (replace(IDLE, blockers=OPEN), "note", "transaction left open"),
        (replace(IDLE, held=1), "note", "set aside"),
        (LATE, "note", "7 events wait"),
        (replace(LATE, held=1), "note", "behind"),
        (replace(LATE, blocked=BLOCKED), "bad", "refuses an event"),
        (replace(LATE, blocked=BLOCKED, leader=None), "bad", "No relay leads; 7 events wait."),
        (replace(IDLE, leader=None), "bad", "No relay leads."),
        (replace(LATE, leader=None, pending=1), "bad", "1 event waits."),
    ],
)
def test_what_is_worst_is_said(status: Status, tone: str, word: str) -> None:
    said = headline(Board(status, passed=1), None, stalled=False)
    assert said.tone == tone
    assert word in said.text


def test_a_standstill_is_worse_than_being_behind() -> None:
    assert headline(Board(LATE, 1), None, stalled=True).text.startswith("Delivery stands still")


def test_a_broker_that_is_away_is_said_before_what_waits_for_a_person() -> None:
    board = Board(replace(LATE, held=1), 1)
    said = headline(board, None, stalled=True, broker_away=True)
    assert said.tone == "bad"
    assert said.text.startswith("No broker answers; 7 events wait")


def test_a_broker_that_is_away_is_no_matter_while_nothing_waits() -> None:
    assert headline(Board(IDLE, 1), None, stalled=False, broker_away=True).tone == "good"


def test_nothing_else_is_known_while_the_database_does_not_answer() -> None:
    said = headline(Board(IDLE, 1), "database: connection refused", stalled=False)
    assert (said.tone, "does not answer" in said.text) == ("bad", True)


def test_before_the_first_look_nothing_is_claimed() -> None:
    assert headline(None, None, stalled=False).tone == "note"


def test_standbys_are_all_but_the_leader_though_its_name_was_cut() -> None:
    leader = "x" * 60 + "/1/ab"
    relays = (Connected(leader[:NAME_BYTES_MAX], 1.0), Connected("host/2/cd", None))
    board = Board(replace(IDLE, leader=leader), 1, relays)
    assert [one.name for one in board.standbys] == ["host/2/cd"]


def test_without_a_leader_all_stand_by() -> None:
    board = Board(replace(IDLE, leader=None), 1, (Connected("a/1/b", 1.0),))
    assert len(board.standbys) == 1


def test_a_count_that_stopped_says_so() -> None:
    few = Waiting("t", "key", "id", "why", 1.0, 999, None, released=False)
    assert not few.events_is_at_least
    assert replace(few, events=1_000).events_is_at_least
