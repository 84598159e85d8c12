"""How often a transaction goes to the server and back, counted on the wire by libpq itself.

A figure that rises here is paid by every writer, at the distance of its database.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from sqlalchemy import Engine, text

from coordinator import Coordinator, OutboxEvent, RunCompletionTransaction, Transaction
from tests.coordinator.database import engine_on, start_trace

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="psycopg hands libpq's trace out on Linux only"
)

# What the server says when it waits for the client again.
READY = "ReadyForQuery"
# What carries a statement that was prepared before.
BIND = "Bind"


@dataclass(frozen=True, slots=True)
class Traffic:
    """`statements` are those with parameters: BEGIN and COMMIT are sent as text."""

    round_trips: int
    statements: int


@pytest.fixture
def one_connection(database_url: str) -> Iterator[Engine]:
    with engine_on(database_url, pool_size=1, max_overflow=0) as engine:
        yield engine


@contextmanager
def traced(engine: Engine, log: Path) -> Iterator[None]:
    """Has libpq write each message of the only connection into `log`."""
    with engine.connect() as connection:
        raw = cast("psycopg.Connection[Any]", connection.connection.driver_connection).pgconn
    with log.open("w") as file:
        raw.trace(file.fileno())
        try:
            yield
        finally:
            raw.untrace()


def traffic(engine: Engine, folder: Path, call: Callable[[int], object]) -> Traffic:
    """What the tenth of ten calls sends, when all is prepared and cached."""
    for number in range(9):
        call(number)
    log = folder / "messages"
    with traced(engine, log):
        call(9)
    messages = [line.split("\t")[3:5] for line in log.read_text().splitlines()]
    kinds = [fields[0] for fields in messages if fields]
    return Traffic(kinds.count(READY), kinds.count(BIND))


@pytest.mark.parametrize(
    ("skip_events", "expected"),
    [
        # BEGIN, claim, trace locked, incident, evaluation, trace completed, events, record, COMMIT.
        (False, Traffic(round_trips=9, statements=7)),
        (True, Traffic(round_trips=8, statements=6)),
    ],
)
def test_a_completion_takes_nine_round_trips_one_of_them_for_its_four_events(
    one_connection: Engine, tmp_path: Path, skip_events: bool, expected: Traffic
) -> None:
    coordinator = RunCompletionTransaction(one_connection)
    traces = [start_trace(one_connection, "t1", f"r{number}") for number in range(10)]

    def complete(number: int) -> None:
        coordinator.execute(
            run_id=f"r{number}",
            tenant_id="t1",
            run_status="failed",
            trace_id=traces[number],
            skip_events=skip_events,
        )

    assert traffic(one_connection, tmp_path, complete) == expected


def test_a_repeat_takes_four_round_trips_whatever_the_first_call_did(
    one_connection: Engine, tmp_path: Path
) -> None:
    coordinator = RunCompletionTransaction(one_connection)

    def complete(_: int) -> None:
        coordinator.execute(run_id="r", tenant_id="t1", run_status="failed")

    # BEGIN, claim, record read, ROLLBACK.
    assert traffic(one_connection, tmp_path, complete) == Traffic(round_trips=4, statements=2)


def test_any_transaction_takes_four_round_trips_beside_its_work_and_two_for_its_events(
    one_connection: Engine, tmp_path: Path
) -> None:
    coordinator = Coordinator(one_connection)

    def write(tx: Transaction) -> None:
        tx.session.execute(text("select 1"))
        for key in ("a", "b", "c"):
            tx.emit(OutboxEvent.json(topic="orders", key=key, type="t", data={}))

    def run(number: int) -> None:
        coordinator.run(write, key=("t1", number))

    # BEGIN, claim, the work's own, keys locked, events, record, COMMIT.
    assert traffic(one_connection, tmp_path, run) == Traffic(round_trips=7, statements=5)
