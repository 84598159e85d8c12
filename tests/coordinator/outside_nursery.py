"""Has processes run transactions and die, as fast as a fork: one JSON line in, one exit code out.

    python -m tests.coordinator.outside_nursery DATABASE_URL

It opens no connection itself, and has no threads, so that a fork is harmless.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from sqlalchemy import NullPool

from coordinator import Coordinator, CoordinatorError, Transaction, failpoints
from tests.coordinator.database import engine_on
from tests.coordinator.outside_world import travel


def attempt(tx: Transaction, folder: str, things: Sequence[str], *, fails: bool) -> list[str]:
    """Book `things`, and fail then or return the bookings."""
    booked = travel(tx, folder, *things)
    if fails:
        raise ValueError
    return booked


def live(url: str, key: str, folder: str, things: list[str], fails: bool, death: str) -> None:
    """Run one transaction; the process is killed at the failpoint `death`, if it is passed."""
    if death:
        failpoints.arm_kill(death)
    with engine_on(url, poolclass=NullPool) as engine:
        Coordinator(engine).run(attempt, folder, things, fails=fails, key=(key,))


def main() -> None:
    """Serve until the input ends."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _live_and_leave(sys.argv[1], json.loads(line))
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


def _live_and_leave(url: str, life: dict[str, Any]) -> None:
    try:
        live(url, **life)
    except CoordinatorError:
        os._exit(1)
    except BaseException:  # noqa: BLE001 - it must not go on in the parent's loop
        os._exit(2)
    os._exit(0)


if __name__ == "__main__":
    main()
