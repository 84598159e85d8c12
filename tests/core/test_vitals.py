"""When a relay counts as alive and as ready: by rules on a few facts and the time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core import inputs as told
from relay.core.vitals import (
    SILENT_MAX_S,
    STALLED_AFTER_S,
    Facts,
    progress_or_idle,
    why_not_alive,
    why_not_ready,
)

WELL = Facts("leading, term 3", stands=True, beaten_at_s=1000.0, well_at_s=1000.0)

seconds = st.floats(0.0, 10_000.0)
facts = st.builds(
    Facts,
    does=st.sampled_from(["", "standby", "leading, term 3", "waiting for the database"]),
    stands=st.booleans(),
    beaten_at_s=seconds,
    well_at_s=seconds,
    trouble=st.sampled_from(["", "database: connection refused"]),
)


def test_a_relay_that_gets_on_is_alive_and_ready() -> None:
    assert (why_not_alive(WELL, 1001.0), why_not_ready(WELL, 1001.0)) == (None, None)


def test_a_loop_that_stands_still_for_a_minute_is_dead() -> None:
    assert why_not_alive(WELL, 1000.0 + SILENT_MAX_S) is None
    said = why_not_alive(WELL, 1000.0 + SILENT_MAX_S + 1)
    assert said == "the loop has stood still for 61 s; it last said: leading, term 3"


def test_a_relay_that_waits_for_an_absent_database_is_alive_for_ever() -> None:
    waits = replace(WELL, does="waiting for the database", beaten_at_s=9_999.0)
    assert why_not_alive(waits, 10_000.0) is None


def test_it_is_unready_only_after_the_stated_time_and_says_why() -> None:
    stalled = replace(WELL, beaten_at_s=1040.0, trouble="refused: no such topic")
    assert why_not_ready(stalled, 1000.0 + STALLED_AFTER_S) is None
    said = why_not_ready(stalled, 1040.0)
    assert said == "no delivery for 40 s, and events wait or may wait: refused: no such topic"


def test_a_relay_that_has_not_stood_by_yet_is_unready_from_the_first_moment() -> None:
    begins = Facts("waiting for the database", False, 1000.0, 1000.0, "database: refused")
    assert why_not_ready(begins, 1000.0) == "not ready yet: database: refused"


def test_an_outbox_that_failed_is_unready_and_kills_nothing() -> None:
    failed = replace(WELL, does="", stands=False)
    assert why_not_ready(failed, 99_999.0) == "not served: it failed or has ended, the log says why"
    assert why_not_alive(failed, 99_999.0) is None


def test_a_loop_that_hangs_is_unready_however_well_the_rest_is() -> None:
    hangs = replace(WELL, well_at_s=2000.0)
    assert why_not_ready(hangs, 2000.0) == why_not_alive(hangs, 2000.0) is not None


@pytest.mark.parametrize(
    ("outcome", "counts"),
    [
        (told.Acked(), True),
        (told.NothingAhead(), True),
        (told.Doubtful("reset"), False),
        (told.Refused("too large"), False),
        (told.Reported(), False),
        (told.Rested(), False),
        (told.PageRead(()), False),
        (told.Recovered(), False),
    ],
)
def test_what_counts_as_progress_or_idleness(outcome: told.Input, counts: bool) -> None:
    assert progress_or_idle(outcome) is counts


@given(facts, seconds)
def test_what_is_dead_is_never_ready(one: Facts, now_s: float) -> None:
    if why_not_alive(one, now_s) is not None:
        assert why_not_ready(one, now_s) is not None


@given(facts, seconds, seconds)
def test_time_alone_heals_nothing(one: Facts, now_s: float, more_s: float) -> None:
    for why_not in (why_not_alive, why_not_ready):
        if why_not(one, now_s) is not None:
            assert why_not(one, now_s + more_s) is not None


@given(facts, seconds, seconds)
def test_a_beat_never_does_harm(one: Facts, now_s: float, later_s: float) -> None:
    beats = replace(one, beaten_at_s=max(one.beaten_at_s, later_s))
    for why_not in (why_not_alive, why_not_ready):
        if why_not(one, now_s) is None:
            assert why_not(beats, now_s) is None


@given(facts, seconds)
def test_whoever_stands_and_was_well_of_late_and_gets_on_is_ready(one: Facts, now_s: float) -> None:
    late = now_s - STALLED_AFTER_S
    if one.does and one.stands and one.well_at_s >= late and one.beaten_at_s >= late:
        assert why_not_ready(one, now_s) is None


@given(facts, seconds)
def test_an_unready_outbox_is_told_in_one_sentence(one: Facts, now_s: float) -> None:
    said = why_not_ready(one, now_s)
    assert said is None or (said and "\n" not in said)
