"""A curve in one line of text."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["sparkline"]

_BARS = "▁▂▃▄▅▆▇█"
_GAP = " "


def sparkline(values: Sequence[float | None], width: int) -> str:
    """The last `width` values, each as a bar from nothing to the largest; None is a gap.

    From nothing, not from the smallest: a rate that varies by a thousandth is to look even.
    """
    shown = values[-width:] if width > 0 else ()
    largest = max((one for one in shown if one is not None), default=0.0)
    return "".join(_GAP if one is None else _bar(one, largest) for one in shown)


def _bar(value: float, largest: float) -> str:
    if largest <= 0.0:
        return _BARS[0]
    return _BARS[min(len(_BARS) - 1, int(value / largest * len(_BARS)))]
