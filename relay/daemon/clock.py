"""The one place that reads a clock."""

from __future__ import annotations

import threading
import time

__all__ = ["monotonic_s", "rest"]


def monotonic_s() -> float:
    """Seconds on a clock that never jumps."""
    return time.monotonic()


def rest(seconds: float, unless: threading.Event) -> None:
    """Do nothing for so long, or until `unless` is set."""
    unless.wait(seconds)
