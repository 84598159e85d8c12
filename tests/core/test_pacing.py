from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.pacing import may_sleep, next_rest_s, restart_rest_s, retry_rest_s


def rests_s(count: int, silent_for_s: float = 0.0) -> list[float]:
    rests = [0.0]
    for _ in range(count):
        rests.append(next_rest_s(rests[-1], silent_for_s))
    return rests[1:]


def test_the_first_rest_after_an_event_is_a_millisecond() -> None:
    assert next_rest_s(0.0, silent_for_s=0.0) == 0.001


def test_each_rest_is_half_as_long_again_up_to_twenty_milliseconds() -> None:
    rests = rests_s(20)

    assert rests[:3] == pytest.approx([0.001, 0.0015, 0.00225])
    assert rests[-1] == 0.020


def test_after_ten_seconds_of_silence_a_look_is_made_seven_times_a_second() -> None:
    assert next_rest_s(0.020, silent_for_s=9.999) == 0.020
    assert next_rest_s(0.020, silent_for_s=10.0) == 0.140


@given(st.floats(0, 1), st.floats(0, 1e6))
def test_an_event_waits_for_the_next_look_a_seventh_of_a_second_at_most(
    previous_s: float, silent_for_s: float
) -> None:
    assert 0.001 <= next_rest_s(previous_s, silent_for_s) <= 0.140


def test_no_gap_between_a_thousand_events_a_second_is_slept_in() -> None:
    assert not may_sleep(silent_for_s=0.0199)
    assert may_sleep(silent_for_s=0.020)


def test_tries_are_made_at_doubling_distances_up_to_five_seconds() -> None:
    assert [retry_rest_s(attempts) for attempts in range(1, 9)] == [
        0.1,
        0.2,
        0.4,
        0.8,
        1.6,
        3.2,
        5.0,
        5.0,
    ]


def test_a_million_failures_in_a_row_do_not_overflow() -> None:
    assert retry_rest_s(1_000_000) == 5.0


def test_what_needs_a_person_is_begun_anew_less_and_less_often_up_to_a_minute() -> None:
    assert [restart_rest_s(failures) for failures in (1, 2, 3, 6, 7, 99)] == [1, 2, 4, 32, 60, 60]
