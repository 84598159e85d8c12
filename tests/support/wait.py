"""Waiting for a condition, never for a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

T = TypeVar("T")


def until(
    condition: Callable[[], T],
    *,
    timeout_s: float = 30.0,
    every_s: float = 0.02,
    what: str = "the condition",
) -> T:
    """Ask `condition` until it answers something true, and return that.

    Raises:
        AssertionError: not within `timeout_s`; names `what` and the last answer.
    """
    deadline = monotonic() + timeout_s
    while not (answer := condition()):
        if monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:g} s for {what}; last answer {answer!r}")
        threading.Event().wait(every_s)
    return answer
