"""What the coordinator and its events cost a writer, beside the same rows by hand, in one run.

A writer is a process with one connection, as the workers of a service are. As threads of one
process they would share an interpreter, and 16 of them would measure its lock: whoever spends less
time in Python would look better with each thread, and the database would be asked by one core. As
processes they do share this machine's cores with the database, which in production has its own; so
a ratio of CPU times is what comes out once the cores are busy, and the worst case for whoever
computes more. With one writer it is a ratio of latencies.

The ways take turns, each some hundred transactions long, in another order each round: what the
neighbours on the machine do meets all alike, and a ratio holds where a rate does not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import quantiles
from typing import IO, Final, Self

from relay.bench.stage import Watcher, fresh_database
from relay.bench.writer import TENANT, WAYS
from relay.errors import RelayError
from relay.postgres.connect import Connection

__all__ = ["WRITERS", "Pace", "Writers", "writers"]

WRITERS: Final = (1, 8, 16)

# Statements are prepared at their fifth use, and their plan is settled five uses later.
_WARM_UP_RUNS: Final = 15

_START_TRACES: Final = """
insert into public.traces (id, tenant_id, run_id)
select 'trace-' || n, %s, 'run-' || n from generate_series(%s::bigint, %s::bigint) n
"""


@dataclass(slots=True)
class Pace:
    """One way, by one number of writers, over all rounds.

    Attributes:
        seconds: from the first begin of a turn to its last end.
        call_seconds: how long each call took, its commit included.
    """

    seconds: float = 0.0
    call_seconds: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return len(self.call_seconds) / self.seconds

    @property
    def p99_ms(self) -> float:
        return quantiles(self.call_seconds, n=100)[-1] * 1_000

    def add(self, ends: Sequence[Sequence[float]]) -> None:
        """Count a turn in: of each writer, when it began and when each of its calls ended."""
        self.seconds += max(of_one[-1] for of_one in ends) - min(of_one[0] for of_one in ends)
        for of_one in ends:
            self.call_seconds += [end - start for start, end in pairwise(of_one)]


@dataclass(slots=True)
class Writers:
    """The figures of a run: of each number of writers, the pace of each way."""

    postgres: str
    load_average: float
    paces: dict[int, dict[str, Pace]] = field(default_factory=dict)

    def cost_of_events(self, count: int) -> float:
        """Which part of the transactions/s the events take, as a fraction."""
        paces = self.paces[count]
        return 1 - paces["execute"].per_second / paces["execute_without_events"].per_second

    def times_by_hand(self, count: int, way: str) -> float:
        """How long `execute` takes, as a multiple of `way` by hand."""
        paces = self.paces[count]
        return paces[way].per_second / paces["execute"].per_second

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "writers": {
                str(count): {
                    **{
                        way: {
                            "transactions_per_second": round(pace.per_second),
                            "p99_ms": round(pace.p99_ms, 2),
                        }
                        for way, pace in paces.items()
                    },
                    "cost_of_events": round(self.cost_of_events(count), 3),
                    "times_by_hand_in_a_pipeline": round(
                        self.times_by_hand(count, "by_hand_in_a_pipeline"), 3
                    ),
                    "times_by_hand": round(self.times_by_hand(count, "by_hand"), 3),
                }
                for count, paces in self.paces.items()
            },
            "postgres": self.postgres,
            "cpus": os.cpu_count(),
            "load_average": round(self.load_average, 2),
        }


def writers(transactions: int, rounds: int, watcher: Watcher) -> Writers:
    """Complete runs, by each number of writers and in each way.

    Args:
        transactions: of one turn, divided among the writers.
        rounds: turns of each way.

    Raises:
        ServiceFailed, Unreachable: see `fresh_database`.
        RelayError: a writer failed.
    """
    load_average = os.getloadavg()[0]
    with fresh_database() as database:
        found = Writers(database.postgres, load_average)
        runs = _Runs(database.connection)
        for count in WRITERS:
            found.paces[count] = {way: Pace() for way in WAYS}
            with _Team(count, database.url) as team:
                for way in WAYS:
                    team.turn(way, runs.start(count, _WARM_UP_RUNS))
                for number in range(rounds):
                    for way in _in_turn(number):
                        ends = team.turn(way, runs.start(count, max(1, transactions // count)))
                        found.paces[count][way].add(ends)
                    watcher.at(f"{count} writers", number + 1, rounds)
    return found


def _in_turn(number: int) -> list[str]:
    """The ways in the order of round `number`: each is the first as often as any other."""
    ways = list(WAYS)
    first = number % len(ways)
    return ways[first:] + ways[:first]


@dataclass(slots=True)
class _Runs:
    """Runs with open traces, numbered on and on."""

    connection: Connection
    last: int = 0

    def start(self, writers: int, each: int) -> list[range]:
        """Start runs of which each writer gets `each`."""
        first, self.last = self.last + 1, self.last + writers * each
        self.connection.execute(_START_TRACES, [TENANT, first, self.last])
        return [range(start, start + each) for start in range(first, self.last + 1, each)]


class _Team:
    """Writers that wait for their turn."""

    def __init__(self, count: int, url: str) -> None:
        environment = {**os.environ, "RELAY_DATABASE_URL": url}
        self._writers = [
            subprocess.Popen(
                [sys.executable, "-m", "relay.bench.writer"],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(count)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers:
            with suppress(BrokenPipeError):
                writer.communicate()

    def turn(self, way: str, shares: Sequence[range]) -> list[list[float]]:
        """Have each writer complete its share in `way`; return their times.

        Raises:
            RelayError: one ended before it answered; its reason is on standard error.
        """
        for writer, share in zip(self._writers, shares, strict=True):
            _pipe(writer.stdin).write(
                json.dumps({"way": way, "first": share[0], "last": share[-1]}) + "\n"
            )
            _pipe(writer.stdin).flush()
        answers = [_pipe(writer.stdout).readline() for writer in self._writers]
        if not all(answers):
            raise RelayError(f"a writer failed ({way})")
        return [json.loads(answer) for answer in answers]


def _pipe(end: IO[str] | None) -> IO[str]:
    if end is None:
        raise AssertionError("every end is a pipe")
    return end
