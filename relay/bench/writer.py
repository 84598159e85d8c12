"""One writer: a process that completes runs in the way it is told, one after the other.

    python -m relay.bench.writer      with the environment of a relay

A line on its input asks for a turn: `{"way": "execute", "first": 1, "last": 50}`. It completes
these runs, whose traces are open, and answers with a line: when it began, and when each was done,
on the clock that all processes of a machine share. The end of its input is its end too, so it
cannot outlive whoever asks.

Each way has a connection of its own, made and warmed in its first turn, which nobody counts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from time import monotonic
from typing import Final

import psycopg
from sqlalchemy import create_engine

from coordinator import RunCompletionTransaction
from relay import config
from relay.bench import by_hand

__all__ = ["TENANT", "WAYS", "run_id", "trace_id"]

TENANT: Final = "bench"

_Complete = Callable[[int], object]


def run_id(number: int) -> str:
    """What the run number `number` is called."""
    return f"run-{number}"


def trace_id(number: int) -> str:
    """What its trace is called."""
    return f"trace-{number}"


@contextmanager
def _execute(url: str, *, skip_events: bool = False) -> Iterator[_Complete]:
    # As `coordinator.runs.factory` makes it: libpq reads the address, in its every form.
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url))
    coordinator = RunCompletionTransaction(engine)
    yield lambda number: coordinator.execute(
        run_id=run_id(number),
        tenant_id=TENANT,
        run_status="failed",
        error_code=by_hand.ERROR_CODE,
        trace_id=trace_id(number),
        skip_events=skip_events,
    )
    engine.dispose()


def _execute_without_events(url: str) -> AbstractContextManager[_Complete]:
    return _execute(url, skip_events=True)


@contextmanager
def _by_hand_in_a_pipeline(url: str) -> Iterator[_Complete]:
    with closing(psycopg.connect(url)) as connection:
        yield lambda number: by_hand.complete_in_a_pipeline(
            connection, TENANT, run_id(number), trace_id(number)
        )


@contextmanager
def _by_hand(url: str) -> Iterator[_Complete]:
    with closing(psycopg.connect(url)) as connection:
        yield lambda number: by_hand.complete(connection, TENANT, run_id(number), trace_id(number))


WAYS: Final[Mapping[str, Callable[[str], AbstractContextManager[_Complete]]]] = {
    "execute": _execute,
    "execute_without_events": _execute_without_events,
    "by_hand_in_a_pipeline": _by_hand_in_a_pipeline,
    "by_hand": _by_hand,
}


def main() -> None:
    """Answer each line of the input."""
    url = config.load_database().url
    ready: dict[str, _Complete] = {}
    with ExitStack() as stack:
        for line in sys.stdin:
            turn = json.loads(line)
            way = turn["way"]
            if way not in ready:
                ready[way] = stack.enter_context(WAYS[way](url))
            _answer(_ends(ready[way], range(turn["first"], turn["last"] + 1)))


def _ends(complete: _Complete, numbers: Iterable[int]) -> list[float]:
    ends = [monotonic()]
    for number in numbers:
        complete(number)
        ends.append(monotonic())
    return ends


def _answer(ends: list[float]) -> None:
    sys.stdout.write(json.dumps(ends) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
