"""F06: what lost a race or a connection is tried again, within the budget; nothing is doubled."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from coordinator import (
    DomainResult,
    FinishedRun,
    GovernanceFacade,
    RetryBudget,
    RunCompletionTransaction,
    TransactionFailed,
)
from relay.admin import migrate
from tests.coordinator.database import engine_on, written
from tests.support.wait import until

RUN: dict[str, Any] = {"run_id": "r1", "tenant_id": "t1", "run_status": "failed"}
ONE_SET = {
    "incidents": 1,
    "policy_evaluations": 1,
    "run_completions": 1,
    "run_claims": 1,
    "event": 3,
}


class Governance(GovernanceFacade):
    """Does something first, and counts its attempts."""

    def __init__(self, first: Callable[[Session, int], object]) -> None:
        self.first = first
        self.attempts = 0

    def evaluate(self, session: Session, run: FinishedRun) -> DomainResult:
        self.attempts += 1
        self.first(session, self.attempts)
        return super().evaluate(session, run)


@pytest.fixture
def counters(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("create table counter (name text primary key, n int)"))
        connection.execute(text("insert into counter values ('a', 0), ('b', 0)"))


def bump(session: Any, name: str) -> None:
    session.execute(text("update counter set n = n + 1 where name = :name"), {"name": name})


def in_another_thread(deed: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1) as other:
        other.submit(deed).result()


def test_a_serialisation_failure_is_tried_again(engine: Engine, counters: None) -> None:
    def first(session: Session, attempt: int) -> None:
        if attempt == 1:
            in_another_thread(overtake)
        bump(session, "a")

    def overtake() -> None:
        with engine.begin() as connection:
            bump(connection, "a")

    governance = Governance(first)
    repeatable = engine.execution_options(isolation_level="REPEATABLE READ")
    RunCompletionTransaction(repeatable, governance=governance).execute(**RUN)
    assert governance.attempts == 2
    assert written(engine) == ONE_SET


def test_a_deadlock_is_tried_again(engine: Engine, counters: None) -> None:
    def first(session: Session, attempt: int) -> None:
        # The shortest wait in the server makes this side the victim.
        session.execute(text("set local deadlock_timeout = '10ms'"))
        bump(session, "a")
        if attempt == 1:
            blocked.append(pool.submit(the_other_side))
            until(lambda: other_waits(session), what="the other side to wait for us")
        bump(session, "b")

    def the_other_side() -> None:
        with engine.begin() as connection:
            connection.execute(text("set local deadlock_timeout = '60s'"))
            bump(connection, "b")
            bump(connection, "a")

    def other_waits(session: Session) -> bool:
        waiting = text("select count(*) from pg_locks where not granted")
        return bool(session.scalar(waiting))

    governance = Governance(first)
    blocked: list[Any] = []
    with ThreadPoolExecutor(1) as pool:
        RunCompletionTransaction(engine, governance=governance).execute(**RUN)
        blocked[0].result()
    assert governance.attempts == 2
    assert written(engine) == ONE_SET


def test_a_connection_that_is_lost_before_the_commit_is_replaced(engine: Engine) -> None:
    def first(session: Session, attempt: int) -> None:
        if attempt == 1:
            session.execute(text("select pg_terminate_backend(pg_backend_pid())"))

    governance = Governance(first)
    RunCompletionTransaction(engine, governance=governance).execute(**RUN)
    assert governance.attempts == 2
    assert written(engine) == ONE_SET


def test_a_server_that_comes_back_within_the_budget_is_waited_for(
    own_postgres: Callable[..., Any],
) -> None:
    server = own_postgres()
    migrate.upgrade(server.url())
    restarting: list[Any] = []

    def first(_: Session, attempt: int) -> None:
        if attempt == 1:
            server.stop_immediate()
            restarting.append(pool.submit(server.start))

    governance = Governance(first)
    with engine_on(server.url()) as engine, ThreadPoolExecutor(1) as pool:
        RunCompletionTransaction(engine, governance=governance).execute(**RUN)
        restarting[0].result()
        assert written(engine) == ONE_SET


def test_the_budget_ends_and_the_last_error_is_the_cause(engine: Engine) -> None:
    def first(session: Session, _: int) -> None:
        session.execute(text("do $$begin raise sqlstate '40001'; end$$"))

    governance = Governance(first)
    coordinator = RunCompletionTransaction(
        engine, governance=governance, budget=RetryBudget(attempts_max=3, wait_max_s=0.01)
    )
    with pytest.raises(TransactionFailed) as failed:
        coordinator.execute(**RUN)
    assert governance.attempts == 3
    assert isinstance(failed.value.cause, OperationalError)
    assert written(engine) == {}


def test_an_error_that_a_facade_wraps_is_known_by_its_cause(engine: Engine) -> None:
    def first(session: Session, attempt: int) -> None:
        if attempt == 1:
            try:
                session.execute(text("do $$begin raise sqlstate '40P01'; end$$"))
            except DBAPIError as error:
                raise RuntimeError("governance failed") from error

    governance = Governance(first)
    RunCompletionTransaction(engine, governance=governance).execute(**RUN)
    assert governance.attempts == 2


def test_an_error_of_the_work_itself_is_not_tried_again(engine: Engine) -> None:
    governance = Governance(lambda session, _: session.execute(text("select 1 / 0")))
    with pytest.raises(TransactionFailed) as failed:
        RunCompletionTransaction(engine, governance=governance).execute(**RUN)
    assert governance.attempts == 1
    assert isinstance(failed.value.__cause__, DBAPIError)
    assert isinstance(failed.value.__cause__.orig, psycopg.errors.DivisionByZero)


def test_a_failure_does_not_quote_the_row_in_its_message(engine: Engine) -> None:
    secret = "insert into public.traces (id, tenant_id, run_id, status) values ('s3cret','','','?')"
    governance = Governance(lambda session, _: session.execute(text(secret)))
    with pytest.raises(TransactionFailed) as failed:
        RunCompletionTransaction(engine, governance=governance).execute(**RUN)
    assert "s3cret" not in str(failed.value)


def test_a_serialisation_failure_at_the_commit_is_tried_again(
    engine: Engine, counters: None, armed_failpoints: ModuleType
) -> None:
    """Write skew: each side reads what the other writes, and the other commits first."""

    def first(session: Session, _: int) -> None:
        session.execute(text("select n from counter where name = 'b'"))
        bump(session, "a")

    def the_other_side() -> None:
        with serializable.begin() as connection:
            connection.execute(text("select n from counter where name = 'a'"))
            bump(connection, "b")

    commits: list[object] = []
    serializable = engine.execution_options(isolation_level="SERIALIZABLE")
    event.listen(serializable, "commit", commits.append)
    armed_failpoints.arm("coordinator.before_commit", the_other_side)
    governance = Governance(first)
    RunCompletionTransaction(serializable, governance=governance).execute(**RUN)
    assert governance.attempts == 2
    # Ours that failed, the other's, ours that succeeded.
    assert len(commits) == 3
    assert written(engine) == ONE_SET
