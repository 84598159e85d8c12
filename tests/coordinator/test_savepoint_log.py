"""SavepointLog: what stands after savepoints were made, released and rolled back to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.testing.savepoint_log import SavepointLog
from tests.support.postgres import Postgres

NAMES = st.sampled_from(["a", "b", "c"])
# None is an entry, else a statement.
STEPS = st.lists(
    st.none()
    | st.builds("savepoint {}".format, NAMES)
    | st.builds("release savepoint {}".format, NAMES)
    | st.builds("rollback to savepoint {}".format, NAMES),
    max_size=12,
)


@pytest.fixture(scope="module")
def server(postgres: Postgres) -> Iterator[psycopg.Connection[Any]]:
    """PostgreSQL itself is the model."""
    with psycopg.connect(postgres.url()) as connection:
        connection.execute("create temp table entries (n int)")
        connection.commit()
        yield connection


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(steps=STEPS)
def test_it_knows_what_postgresql_knows(
    server: psycopg.Connection[Any], steps: list[str | None]
) -> None:
    log = SavepointLog[int]()
    for number, step in enumerate(steps):
        if step is None:
            server.execute("insert into entries values (%s)", [number])
            log.add(number)
            continue
        try:
            server.execute(step.encode())
        except psycopg.errors.InvalidSavepointSpecification:
            # There is none of that name, and the transaction is lost: only its end remains.
            server.rollback()
            return
        log.follow(step)
    found = server.execute("select n from entries order by n").fetchall()
    server.rollback()
    assert list(log.entries) == [n for (n,) in found]


@pytest.mark.parametrize(
    "back",
    [
        "ROLLBACK TO SAVEPOINT s1",
        "rollback to s1",
        "rollback work to savepoint s1",
        ' rollback transaction to "s1"',
    ],
)
def test_a_rollback_is_known_in_each_spelling(back: str) -> None:
    log = SavepointLog[str]()
    log.add("kept")
    log.follow("SAVEPOINT s1")
    log.add("lost")
    log.follow(back)
    assert log.entries == ["kept"]


def test_what_names_no_savepoint_changes_nothing() -> None:
    log = SavepointLog[str]()
    log.add("kept")
    for statement in ("rollback to elsewhere", "release elsewhere", "select 'savepoint a'"):
        log.follow(statement)
    assert log.entries == ["kept"]


def test_settled_it_is_empty_and_its_savepoints_are_there() -> None:
    log = SavepointLog[str]()
    log.follow("savepoint s")
    log.add("before")
    log.settle()
    assert log.entries == []
    log.add("after")
    log.follow("rollback to s")
    assert log.entries == []
