"""The last quarter of an hour: rates from positions, gaps that stay, and nothing that grows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.core.vitals import STALLED_AFTER_S
from relay.observe.recent import (
    EVERY_S,
    SAMPLES_MAX,
    SPAN_S,
    Recent,
    Sample,
)

LOOKS = st.lists(
    st.tuples(
        st.floats(0.1, 60.0),
        st.one_of(st.none(), st.integers(0, 10**6)),
        st.integers(0, 10**6),
    )
)


def of(*samples: Sample) -> Recent:
    recent = Recent()
    for one in samples:
        recent = recent.having(one)
    return recent


def stuck(seconds: float, *, pending: int = 3) -> list[Sample]:
    """A look every EVERY_S for so long, at a cursor that stands still."""
    return [Sample(EVERY_S * n, 100, pending, 1.0) for n in range(int(seconds / EVERY_S) + 1)]


def test_the_rate_is_how_far_the_cursor_moved_in_a_second() -> None:
    recent = of(Sample(10.0, 100, 0, 0.0), Sample(15.0, 600, 0, 0.0))
    assert recent.rate == 100.0
    assert [one.rate for one in recent.points(15.0)] == [None, 100.0]


def test_a_single_look_gives_no_rate() -> None:
    assert of(Sample(1.0, 100, 0, 0.0)).rate is None
    assert Recent().rate is None


def test_no_rate_is_guessed_across_a_look_that_failed() -> None:
    recent = of(Sample(0.0, 100, 0, 0.0), Sample(5.0), Sample(10.0, 900, 0, 0.0))
    assert [one.rate for one in recent.points(10.0)] == [None, None, None]
    assert [one.pending for one in recent.points(10.0)] == [0, None, 0]


def test_a_position_that_went_back_gives_no_rate() -> None:
    """After a failover that lost entries."""
    assert of(Sample(0.0, 900, 0, 0.0), Sample(5.0, 100, 0, 0.0)).rate is None


def test_the_first_point_that_is_drawn_has_the_rate_since_the_one_before_it() -> None:
    recent = of(Sample(0.0, 0, 0, 0.0), Sample(10.0, 50, 0, 0.0))
    (point,) = recent.points(SPAN_S + 5.0)
    assert point.rate == 5.0


def test_delivery_stands_still_once_events_waited_long_enough_and_nothing_was_passed() -> None:
    assert not of(*stuck(STALLED_AFTER_S - EVERY_S)).stalled
    assert of(*stuck(STALLED_AFTER_S)).stalled


def test_a_cursor_that_stands_still_while_nothing_waits_is_idle() -> None:
    assert not of(*stuck(600.0, pending=0)).stalled


def test_one_step_of_the_cursor_ends_a_standstill() -> None:
    looks = stuck(600.0)
    moved = Sample(looks[-1].at_s + EVERY_S, 101, 3, 1.0)
    assert not of(*looks, moved).stalled


def test_a_look_that_failed_says_nothing_about_a_standstill() -> None:
    looks = stuck(600.0)
    assert not of(*looks, Sample(looks[-1].at_s + EVERY_S)).stalled


@given(LOOKS)
def test_it_never_grows_and_what_it_draws_is_recent_in_order_and_no_less_than_nothing(
    looks: list[tuple[float, int | None, int]],
) -> None:
    recent, now_s = Recent(), 0.0
    for after_s, passed, pending in looks:
        now_s += after_s
        recent = recent.having(Sample(now_s, passed, pending, 0.0))
        points = list(recent.points(now_s))
        ages = [one.age_s for one in points]
        assert len(recent.samples) <= SAMPLES_MAX
        assert ages == sorted(ages, reverse=True)
        assert 0.0 <= ages[-1] <= ages[0] <= SPAN_S
        assert all(one.rate is None or one.rate >= 0.0 for one in points)


def test_looks_as_often_as_may_be_fill_the_whole_span() -> None:
    recent = of(*(Sample(EVERY_S * n, n, 0, 0.0) for n in range(1_000)))
    ages = [one.age_s for one in recent.points(EVERY_S * 999)]
    assert ages[0] == SPAN_S
