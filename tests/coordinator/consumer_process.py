"""A consumer as a process of its own, that can be killed and suspended.

    python -m tests.coordinator.consumer_process URL SERVERS TOPIC [FAILPOINT]

It writes each record's key and value into `public.effects`, in batches of at most 50.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coordinator import failpoints
from coordinator.inbox.consumer import Consumer
from tests.coordinator.database import engine_on
from tests.coordinator.records import write_down

NAME = "billing"
# The shortest that a broker takes by default, so that the partitions of the dead are free soon.
PROPERTIES: dict[str, Any] = {
    "session.timeout.ms": 6_000,
    "max.poll.interval.ms": 6_000,
    "heartbeat.interval.ms": 500,
    "fetch.wait.max.ms": 10,  # the mock answers a fetch only when this is over
}


def main() -> None:
    """Consume until SIGTERM."""
    url, servers, topic, *failpoint = sys.argv[1:]
    for specification in failpoint:
        failpoints.arm_kill(specification)
    with engine_on(url) as engine:
        consumer = Consumer(
            engine,
            consumer=NAME,
            topics=[topic],
            handler=write_down,
            bootstrap_servers=servers,
            properties=PROPERTIES,
            batch_max=50,
        )
        signal.signal(signal.SIGTERM, lambda *_: consumer.stop())
        consumer.run()


@contextlib.contextmanager
def consuming(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The process; killed at the end if it still runs."""
    program = [sys.executable, "-m", "tests.coordinator.consumer_process", *arguments]
    process = subprocess.Popen(program, cwd=Path(__file__).parents[2])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
