"""Named points at which a test may kill or stop the process.

Product code says `hit("relay.page_acked")` where a crash would be interesting. With nothing armed
that is one look at an empty dict. A test arms a point with an action of its own, or, in another
process, with a specification from its environment; a kill there is a real SIGKILL, so nothing gets
a chance to tidy up.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

__all__ = ["arm", "arm_kill", "disarm", "hit", "kill_this_process"]

_armed: dict[str, tuple[int, Callable[[], None]]] = {}


def hit(name: str) -> None:
    """Say that execution passes the point `name`; does nothing unless that point is armed."""
    if _armed and name in _armed:
        remaining, action = _armed[name]
        if remaining > 1:
            _armed[name] = (remaining - 1, action)
        else:
            del _armed[name]
            action()


def arm(name: str, action: Callable[[], None], on_hit: int = 1) -> None:
    """Run `action` at the `on_hit`-th pass (1 = the next) of the point `name`, once."""
    _armed[name] = (on_hit, action)


def arm_kill(specification: str) -> None:
    """Arm a SIGKILL of this process from text: `name`, or `name:3` for the third pass.

    Raises ValueError when the count is not a whole number of at least 1.
    """
    name, _, count = specification.partition(":")
    on_hit = int(count or "1")
    if on_hit < 1:
        raise ValueError(f"failpoint {specification!r}: the count must be at least 1")
    arm(name, kill_this_process, on_hit)


def disarm() -> None:
    """Forget every armed point."""
    _armed.clear()


def kill_this_process() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)
