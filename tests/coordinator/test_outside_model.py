"""Any history of attempts, deaths and recoveries: the world outside agrees with the database.

After every step: what a committed transaction booked is booked, and every other booking has an
intent by which it can be undone. After a recovery in which every undo works nothing else is booked.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine, text

from coordinator import recover
from tests.coordinator.outside_world import World, left
from tests.style.rules import ROOT

KEYS = ("a", "b")
THINGS = st.lists(st.sampled_from(["flight", "hotel", "taxi"]), max_size=3, unique=True)
DEATHS = st.sampled_from(
    [
        "outside.intent_written",
        "outside.acted",
        "outside.settled",
        "coordinator.before_commit",
        "outside.rolled_back",
        "outside.undone",
        "outside.acknowledged",
    ]
)
CLEAN = (
    "truncate transaction_intents, transaction_settlements, transaction_acks,"
    " transaction_claims, transaction_records"
)
COMMITTED = "select name from transaction_records, json_array_elements_text(outcome->'value') name"
UNSETTLED = (
    "select arguments->>1 || '-' || attempt_id from transaction_intents"
    " where attempt_id not in (select attempt_id from transaction_settlements)"
)


@contextmanager
def nursery(url: str) -> Iterator[subprocess.Popen[str]]:
    """A process whose children run transactions."""
    command = [sys.executable, "-m", "tests.coordinator.outside_nursery", url]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


class Histories(RuleBasedStateMachine):
    """Runs a history on a real database, a folder, and processes that really die."""

    engine: Engine
    process: subprocess.Popen[str]

    def __init__(self) -> None:
        super().__init__()
        with self.engine.begin() as connection:
            connection.execute(text(CLEAN))
        self.folder = tempfile.TemporaryDirectory()
        self.world = World(Path(self.folder.name))
        self.is_closed = False

    @rule(key=st.sampled_from(KEYS), things=THINGS, fails=st.booleans())
    def run(self, key: str, things: list[str], fails: bool) -> None:
        assert self.live(key, things, fails) in (0, 1)

    @rule(
        key=st.sampled_from(KEYS),
        things=THINGS,
        fails=st.booleans(),
        death=DEATHS,
        on_pass=st.integers(1, 3),
    )
    def die(self, key: str, things: list[str], fails: bool, death: str, on_pass: int) -> None:
        # A point that is not passed lets it live.
        assert self.live(key, things, fails, f"{death}:{on_pass}") in (0, 1, -signal.SIGKILL)

    @rule()
    def recover(self) -> None:
        found = recover(self.engine)
        assert not found.running
        if not self.is_closed:
            assert found.is_complete
            assert left(self.engine) == 0
            assert set(self.world.bookings) == self.names(COMMITTED)

    @rule()
    def close_or_open(self) -> None:
        (self.world.open if self.is_closed else self.world.close)()
        self.is_closed = not self.is_closed

    @invariant()
    def what_is_committed_is_booked(self) -> None:
        assert self.names(COMMITTED) <= set(self.world.bookings)

    @invariant()
    def what_is_booked_is_committed_or_can_be_undone(self) -> None:
        assert set(self.world.bookings) <= self.names(COMMITTED) | self.names(UNSETTLED)

    def live(self, key: str, things: list[str], fails: bool, death: str = "") -> int:
        life = {"key": key, "folder": self.world.folder, "things": things, "fails": fails}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(life | {"death": death}) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def names(self, query: str) -> set[str]:
        with self.engine.connect() as connection:
            return set(connection.scalars(text(query)))

    def teardown(self) -> None:
        self.folder.cleanup()


def test_the_world_outside_agrees_with_the_database(engine: Engine, database_url: str) -> None:
    with nursery(database_url) as process:
        machine = type("Machine", (Histories,), {"engine": engine, "process": process})
        run_state_machine_as_test(
            machine, settings=settings(max_examples=20, stateful_step_count=12, deadline=None)
        )
