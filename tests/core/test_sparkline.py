"""A curve in one line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.core.sparkline import sparkline


def test_bars_rise_from_nothing_to_the_largest() -> None:
    assert sparkline([0, 1, 2, 4, 8], 10) == "▁▂▃▅█"


def test_a_gap_is_left_where_there_was_no_look() -> None:
    assert sparkline([1, None, 1], 10) == "█ █"


def test_where_nothing_happens_the_line_is_low() -> None:
    assert sparkline([0, 0], 10) == "▁▁"


def test_a_rate_that_hardly_varies_looks_even() -> None:
    assert len(set(sparkline([999, 1_000, 998], 10))) == 1


@given(st.lists(st.none() | st.floats(0, 1e12)), st.integers(0, 50))
def test_it_is_never_wider_than_asked(values: list[float | None], width: int) -> None:
    assert len(sparkline(values, width)) == min(width, len(values))
