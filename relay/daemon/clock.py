"""The one place that reads a clock."""

from __future__ import annotations

import threading
import time

__all__ = ["monotonic_s", "rest", "wall_s"]


def monotonic_s() -> float:
    """Seconds on a clock that never jumps."""
    return time.monotonic()


def wall_s() -> float:
    """Seconds since 1970, for those who compare clocks of several machines; it may jump."""
    return time.time()


def rest(seconds: float, unless: threading.Event) -> None:
    """Do nothing for so long, or until `unless` is set."""
    unless.wait(seconds)
