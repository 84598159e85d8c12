"""A process that books a journey, and is killed at a point of it.

    python -m tests.coordinator.outside_child DATABASE_URL FOLDER FAILPOINT[:PASS] {commits|fails}

At the point `returned` it dies after `run` has returned.
"""

from __future__ import annotations

import sys

from coordinator import Coordinator, Transaction, failpoints
from tests.coordinator.database import engine_on
from tests.coordinator.orders import KEY
from tests.coordinator.outside_world import travel


def journey(tx: Transaction, folder: str, *, fails: bool) -> None:
    """Book a flight and a hotel."""
    travel(tx, folder, "flight", "hotel")
    if fails:
        raise ValueError("no journey")


def main() -> None:
    """Run once, and do not live to the end."""
    url, folder, failpoint, end = sys.argv[1:]
    failpoints.arm_kill(failpoint)
    with engine_on(url) as engine:
        try:
            Coordinator(engine).run(journey, folder, fails=end == "fails", key=KEY)
        finally:
            failpoints.hit("returned")


if __name__ == "__main__":
    main()
