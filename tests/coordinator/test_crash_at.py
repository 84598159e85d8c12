"""crash_at: a real kill -9 at a named point; what was committed by then stands, and no more."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from coordinator import BadInput, Coordinator, create_transaction_coordinator
from coordinator.testing import PointNotReached, crash_at
from tests.coordinator.database import written
from tests.coordinator.orders import DONE_ONCE, KEY, done, pay

BEFORE_THE_COMMIT = ["before:work", "after:order", "after:ledger", "before:commit"]


@pytest.mark.parametrize("point", BEFORE_THE_COMMIT)
def test_before_the_commit_nothing_is_left(orders: Engine, point: str) -> None:
    run = partial(Coordinator(orders).run, pay, 7, amount="9.50", key=KEY)
    crash_at(point, run)
    assert done(orders) == {}
    run()
    assert done(orders) == DONE_ONCE


def test_after_the_commit_a_repeat_is_a_replay(orders: Engine) -> None:
    run = partial(Coordinator(orders).run, pay, 7, amount="9.50", key=KEY)
    crash_at("after:commit", run)
    assert run().replayed
    assert done(orders) == DONE_ONCE


def test_the_completion_of_a_run_has_its_three_domains(engine: Engine) -> None:
    crash_at(
        "after:incident",
        create_transaction_coordinator(engine=engine).execute,
        run_id="r-1",
        tenant_id="acme",
        run_status="failed",
    )
    assert written(engine) == {}


def test_what_runs_before_the_point_is_done(tmp_path: Path, orders: Engine) -> None:
    def charge_and_pay() -> None:
        (tmp_path / "charged").touch()
        Coordinator(orders).run(pay, 7, amount="9.50", key=KEY)

    crash_at("before:commit", charge_and_pay)
    assert (tmp_path / "charged").exists()


def test_the_tests_own_connections_live_on(orders: Engine) -> None:
    with orders.connect() as connection:
        backend = connection.scalar(text("select pg_backend_pid()"))
    crash_at("before:commit", Coordinator(orders).run, pay, 7, amount="9.50", key=KEY)
    with orders.connect() as connection:
        assert connection.scalar(text("select pg_backend_pid()")) == backend


def test_a_coroutine_is_run(orders: Engine) -> None:
    async def paying() -> None:
        await asyncio.to_thread(Coordinator(orders).run, pay, 7, amount="9.50", key=KEY)

    crash_at("after:commit", paying)
    assert done(orders) == DONE_ONCE


def test_a_call_that_returns_first_is_an_error() -> None:
    with pytest.raises(PointNotReached, match="'after:order': it returned"):
        crash_at("after:order", lambda: None)


def test_a_call_that_raises_first_is_an_error_with_its_traceback() -> None:
    def broken() -> None:
        raise KeyError("no such card")

    with pytest.raises(PointNotReached, match=r"(?s)test_crash_at.py.*KeyError: 'no such card'"):
        crash_at("after:order", broken)


def test_a_call_that_does_not_end_is_killed_and_an_error() -> None:
    reading, _writing = os.pipe()
    with pytest.raises(PointNotReached, match=r"went on for 0\.2 s"):
        crash_at("after:order", os.read, reading, 1, timeout_s=0.2)


def test_a_call_that_exits_first_is_an_error() -> None:
    with pytest.raises(PointNotReached, match="it ended with 3"):
        crash_at("after:order", os._exit, 3)


@pytest.mark.parametrize("point", ["before:incident", "after:", "commit", ""])
def test_a_point_that_there_is_not_is_refused(point: str) -> None:
    with pytest.raises(BadInput, match="before:work, before:commit, after:commit"):
        crash_at(point, lambda: None)
