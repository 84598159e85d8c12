"""Writers that keep a pace: so many transactions of one event a second, whatever each takes.

    python -m relay.bench.pace TOPIC RATE EVENTS      with the environment of a relay

Naive: a loop that writes and then rests. A slow commit then slows the writing, and just what would
have waited longest is never written. Here each event has its time, and who is late makes no rest.

Written when all is committed: a line with the times of the commits, by the events' numbers, on the
clock that all processes of a machine share. An event's number stands at the head of its payload.
"""

from __future__ import annotations

import json
import sys
import threading
from contextlib import closing
from time import monotonic
from typing import Final

import psycopg

from relay import config
from relay.bench.events import KEYS, PAYLOAD_BYTES, TYPE

__all__ = ["NUMBER_BYTES"]

NUMBER_BYTES: Final = 8

# One connection makes a thousand commits a second only where each takes less than a millisecond.
_CONNECTIONS: Final = 4

_EMIT: Final = "select outbox.emit(%s, %s, %s, %b)"


def _write(url: str, topic: str, rate: int, ends: list[float], first: int, begin_s: float) -> None:
    """Write each `_CONNECTIONS`-th event, `first` being the number of the first."""
    rest = bytes(PAYLOAD_BYTES - NUMBER_BYTES)
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        for number in range(first, len(ends), _CONNECTIONS):
            threading.Event().wait(max(0.0, begin_s + number / rate - monotonic()))
            payload = number.to_bytes(NUMBER_BYTES, "big") + rest
            connection.execute(_EMIT, [topic, f"key-{number % KEYS}", TYPE, payload])
            ends[number] = monotonic()


def main() -> None:
    """Write what the arguments say."""
    topic, rate, events = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    url, begin_s = config.load_database().url, monotonic()
    ends = [0.0] * events
    threads = [
        threading.Thread(target=_write, args=(url, topic, rate, ends, first, begin_s))
        for first in range(_CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdout.write(json.dumps(ends) + "\n")


if __name__ == "__main__":
    main()
