"""What the loops report: when they are vouched for, what counts as progress, what is counted."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import config
from relay.core import effects as do
from relay.core import inputs as told
from relay.core.reached import Reached
from relay.daemon.clock import monotonic_s, wall_s
from relay.observe.histogram import PUBLISH_S, Histogram
from relay.observe.vitals import FAILURES, AllVitals, Vitals


@pytest.fixture
def vitals() -> AllVitals:
    """Of two outboxes, both of which are led."""
    made = AllVitals(("billing", "orders"), threading.Event(), monotonic_s, wall_s)
    for name in ("billing", "orders"):
        made.of(name).says("leading, term 1", ready=True)
    assert made.beaten()
    return made


def test_one_loop_that_stands_still_is_not_hidden_by_another_that_gets_on(
    vitals: AllVitals,
) -> None:
    vitals.of("billing").beat()
    assert not vitals.beaten()
    vitals.of("orders").beat()
    assert vitals.beaten()


def test_a_beat_counts_once(vitals: AllVitals) -> None:
    for name in ("billing", "orders"):
        vitals.of(name).beat()
    assert vitals.beaten()
    assert not vitals.beaten()


def test_a_loop_that_ended_is_not_missed(vitals: AllVitals) -> None:
    vitals.of("orders").ends()
    vitals.of("billing").beat()
    assert vitals.beaten()


def test_each_outbox_is_told_by_its_name(vitals: AllVitals) -> None:
    vitals.of("orders").says("standby", ready=True)
    assert vitals.text == "billing: leading, term 1; orders: standby"


def test_an_outbox_that_is_away_holds_up_no_other(vitals: AllVitals) -> None:
    vitals.of("orders").says("waiting for the database")
    assert vitals.ready


def test_what_is_said_again_is_no_news(vitals: AllVitals) -> None:
    vitals.changed.clear()
    vitals.of("orders").says("leading, term 1", ready=True)
    assert not vitals.changed.is_set()


@pytest.mark.parametrize(
    ("usec", "pid", "asked"), [("90", "", 0.00009), ("90", "1", None), ("soon", "", None)]
)
def test_a_watchdog_is_fed_only_where_it_asks_this_process(
    monkeypatch: pytest.MonkeyPatch, usec: str, pid: str, asked: float | None
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    assert config.service_manager() == ("", asked)


ROWS = [
    (place, "id", "topic", "key", "type", "", b"12345", "1970-01-01T00:00:01.000000Z", None)
    for place in (1, 2, 3)
]
REACHED = Reached("1", 3)


class Watched:
    """One outbox's vitals, and a client, at a time that the test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.queued = 0
        self.handed = self.in_flight = (3, 15)
        self.broker_up: bool | None = None
        self.asked = 0
        self.vitals = Vitals("", threading.Event(), lambda: self.now_s, lambda: self.now_s)
        self.vitals.client = self
        self.vitals.leads(1, lambda: True)

    def ask_broker(self) -> None:
        self.asked += 1

    def step(self, outcome: told.Input, effect: do.Effect | None = None) -> None:
        self.vitals.step(effect or do.Send(ROWS, 1, REACHED), outcome, releases=False)

    def well_at_s(self) -> float:
        return self.vitals.facts.well_at_s


@pytest.fixture
def one() -> Watched:
    return Watched()


def test_an_acknowledged_page_is_counted_and_timed(one: Watched) -> None:
    one.now_s = 102.0
    one.step(told.Acked())
    vitals = one.vitals
    assert (vitals.published_events, vitals.published_bytes, vitals.published_at_s) == (3, 15, 102)
    assert (vitals.publish.sum_s, vitals.commit_to_ack.sum_s) == (2.0, 101.0)
    assert one.well_at_s() == 102.0


def test_events_that_were_set_aside_for_days_are_no_lag(one: Watched) -> None:
    one.vitals.step(do.Send(ROWS, 1, REACHED), told.Acked(), releases=True)
    assert (one.vitals.published_events, one.vitals.commit_to_ack.sum_s) == (3, 0.0)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (told.Doubtful("reset"), "in_doubt"),
        (told.Refused("too large", position=1), "refused"),
        (told.Refused("no such topic", "topic", passing=True), "awaited"),
    ],
)
def test_what_is_not_acknowledged_is_counted_by_its_reason_and_is_no_progress(
    one: Watched, outcome: told.Doubtful | told.Refused, reason: str
) -> None:
    one.now_s = 110.0
    one.step(outcome)
    assert one.vitals.failures == {**dict.fromkeys(FAILURES, 0), reason: 1}
    assert outcome.reason in one.vitals.facts.trouble
    assert one.well_at_s() == 100.0


def test_a_page_that_is_slowly_acknowledged_is_progress(one: Watched) -> None:
    for seconds, queued in ((0.0, 0), (0.1, 3), (20.0, 3), (40.0, 2)):
        one.now_s, one.queued = 100.0 + seconds, queued
        one.vitals.waits(seconds)
    assert one.well_at_s() == 140.0


def test_a_queue_that_was_thrown_away_is_no_progress(one: Watched) -> None:
    # Each time the metadata takes longer, in which nothing is handed over yet.
    for asked_s in (0.5, 1.0, 1.5):
        for seconds, queued in ((asked_s, 0), (asked_s + 0.1, 3)):
            one.now_s, one.queued = one.now_s + 1, queued
            one.vitals.waits(seconds)
        one.step(told.Doubtful("reset"))
    assert one.well_at_s() == 100.0


def test_the_broker_is_asked_only_while_it_is_not_known_to_answer(one: Watched) -> None:
    for known, asked in ((None, 1), (False, 2), (True, 2)):
        one.broker_up = known
        one.vitals.ask_broker()
        assert one.asked == asked
    one.vitals.waits(6.0)
    one.vitals.ask_broker()
    assert one.asked == 3


def test_after_a_page_in_doubt_it_is_not_known_to_answer(one: Watched) -> None:
    one.broker_up = True
    one.step(told.Doubtful("Failed to get metadata"))
    one.vitals.ask_broker()
    assert one.asked == 1


def test_a_database_that_answers_the_elector_heals_a_standby_and_no_leader(one: Watched) -> None:
    one.now_s = 120.0
    one.vitals.answered(True)
    assert (one.well_at_s(), one.vitals.database_up) == (100.0, True)
    one.vitals.answered(False)
    assert one.well_at_s() == 120.0
    one.vitals.unanswered("database: gone")
    assert not one.vitals.database_up


def test_a_long_plan_is_no_hang_while_the_database_answers_the_elector(one: Watched) -> None:
    one.vitals.begins(do.Load())
    one.now_s += 100.0
    one.vitals.answered(True)
    assert one.vitals.facts.beaten_at_s == one.now_s


def test_a_page_that_hangs_is_a_hang_whatever_the_database_answers(one: Watched) -> None:
    one.vitals.begins(do.Load())
    one.step(told.Acked())
    beaten_at_s = one.vitals.facts.beaten_at_s
    one.vitals.begins(do.Send(ROWS, 1, REACHED))
    one.now_s += 100.0
    one.vitals.answered(True)
    assert one.vitals.facts.beaten_at_s == beaten_at_s


@pytest.mark.parametrize("written_at", ["infinity", "-infinity", "20000-01-01 00:00:00+00"])
def test_a_time_that_python_has_not_ends_no_loop(one: Watched, written_at: str) -> None:
    rows = [(*ROWS[0][:7], written_at, *ROWS[0][8:])]
    one.step(told.Acked(), do.Send(rows, 1, REACHED))
    assert (one.vitals.published_events, one.vitals.commit_to_ack.sum_s) == (1, 0.0)


def test_a_request_that_hangs_is_a_database_that_is_away(one: Watched) -> None:
    one.vitals.answered(True)
    one.now_s += 11.0
    assert not one.vitals.database_up


def test_a_term_is_lost_once_and_one_that_was_given_back_is_not(one: Watched) -> None:
    one.vitals.stands_by()
    one.vitals.stands_by()
    one.vitals.leads(2, lambda: True)
    one.vitals.gave_back()
    one.vitals.stands_by()
    one.vitals.leads(3, lambda: True)
    one.vitals.was_fenced()
    one.vitals.leads(4, lambda: True)
    vitals = one.vitals
    assert (vitals.takeovers, vitals.leases_lost, vitals.fenced, vitals.term) == (4, 1, 1, 4)


def test_a_failure_within_a_term_is_no_takeover(one: Watched) -> None:
    one.vitals.leads(1, lambda: True)
    assert (one.vitals.takeovers, one.vitals.leases_lost) == (1, 0)


def test_it_leads_only_while_the_lease_is_trusted(one: Watched) -> None:
    assert one.vitals.leading
    one.vitals.leads(1, lambda: False)
    assert not one.vitals.leading


@given(st.lists(st.floats(0.0, 10_000.0)))
def test_each_duration_is_in_every_bucket_that_holds_it(durations: list[float]) -> None:
    histogram = Histogram(PUBLISH_S)
    for seconds in durations:
        histogram.observe(seconds)
    bounds = (*PUBLISH_S, float("inf"))
    expected = [sum(seconds <= bound for seconds in durations) for bound in bounds]
    assert [count for _, count in histogram.buckets()] == expected
