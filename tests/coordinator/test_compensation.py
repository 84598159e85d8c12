"""Rollback actions: in reverse, at most once each, one ack each; none where it was committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from coordinator import (
    DomainResult,
    FinishedRun,
    GovernanceFacade,
    IncidentFacade,
    RetryBudget,
    RollbackAction,
    RunCompletionTransaction,
    TransactionFailed,
    WrongUse,
)
from coordinator.domains.tables import domain_acks
from tests.coordinator.database import count, written

RUN: dict[str, Any] = {"run_id": "r1", "tenant_id": "t1", "run_status": "failed"}


class Incident(IncidentFacade):
    """Registers the given actions."""

    def __init__(self, *actions: tuple[str, Callable[[], object]]) -> None:
        self.actions = actions

    def create(self, session: Session, run: FinishedRun) -> DomainResult:
        for name, action in self.actions:
            RollbackAction("incident", name, action).register(session)
        return super().create(session, run)


class BrokenGovernance(GovernanceFacade):
    def evaluate(self, session: Session, run: FinishedRun) -> DomainResult:
        raise RuntimeError("no policy\nwith a second line")


def broken(engine: Engine, *actions: tuple[str, Callable[[], object]]) -> None:
    coordinator = RunCompletionTransaction(
        engine, incident=Incident(*actions), governance=BrokenGovernance()
    )
    with pytest.raises(TransactionFailed):
        coordinator.execute(**RUN)


def fails() -> None:
    raise OSError("the pager is away")


def test_actions_run_in_reverse_order_after_the_rollback(engine: Engine) -> None:
    ran: list[tuple[str, dict[str, int]]] = []
    broken(
        engine,
        ("first", lambda: ran.append(("first", written(engine)))),
        ("second", lambda: ran.append(("second", written(engine)))),
    )
    assert ran == [("second", {}), ("first", {})]


def test_each_action_leaves_one_ack_with_the_reason(engine: Engine) -> None:
    broken(engine, ("page", lambda: None), ("ticket", fails))
    with engine.connect() as connection:
        rows = connection.execute(select(domain_acks).order_by(domain_acks.c.created_at)).all()
    assert [
        (row.domain, row.action, row.status, row.reason, row.action_succeeded, row.action_error)
        for row in rows
    ] == [
        (
            "incident",
            "ticket",
            "rolled_back",
            "RuntimeError: no policy",
            False,
            "OSError: the pager is away",
        ),
        ("incident", "page", "rolled_back", "RuntimeError: no policy", True, None),
    ]
    assert {(row.tenant_id, row.run_id) for row in rows} == {("t1", "r1")}
    assert len({row.call_id for row in rows}) == 1


def test_an_action_that_fails_does_not_stop_the_others(engine: Engine) -> None:
    ran: list[str] = []
    broken(engine, ("first", lambda: ran.append("first")), ("second", fails))
    assert ran == ["first"]


def test_an_ack_that_cannot_be_written_does_not_stop_the_others_nor_hide_the_failure(
    engine: Engine,
) -> None:
    with engine.begin() as connection:
        connection.execute(text("alter table public.domain_acks rename to elsewhere"))
    ran: list[str] = []
    broken(engine, ("first", lambda: ran.append("1")), ("second", lambda: ran.append("2")))
    assert ran == ["2", "1"]


def test_no_action_runs_after_a_commit(engine: Engine) -> None:
    RunCompletionTransaction(engine, incident=Incident(("undo", fails))).execute(**RUN)
    assert count(engine, domain_acks) == 0


def test_no_action_runs_for_a_repeat(engine: Engine) -> None:
    coordinator = RunCompletionTransaction(engine, incident=Incident(("undo", fails)))
    coordinator.execute(**RUN)
    coordinator.execute(**RUN)
    assert count(engine, domain_acks) == 0


def test_each_attempt_undoes_its_own_effects_once(engine: Engine) -> None:
    class FailsTwice(GovernanceFacade):
        attempts = 0

        def evaluate(self, session: Session, run: FinishedRun) -> DomainResult:
            self.attempts += 1
            if self.attempts <= 2:
                session.execute(text("do $$begin raise sqlstate '40001'; end$$"))
            return super().evaluate(session, run)

    undone: list[str] = []
    RunCompletionTransaction(
        engine,
        incident=Incident(("undo", lambda: undone.append("x"))),
        governance=FailsTwice(),
        budget=RetryBudget(wait_max_s=0.01),
    ).execute(**RUN)
    assert undone == ["x", "x"]
    assert count(engine, domain_acks) == 2


def test_an_interrupt_undoes_too_and_reaches_the_caller_as_it_is(engine: Engine) -> None:
    class Interrupted(GovernanceFacade):
        def evaluate(self, session: Session, run: FinishedRun) -> DomainResult:
            raise KeyboardInterrupt

    undone: list[str] = []
    coordinator = RunCompletionTransaction(
        engine, incident=Incident(("undo", lambda: undone.append("x"))), governance=Interrupted()
    )
    with pytest.raises(KeyboardInterrupt):
        coordinator.execute(**RUN)
    assert undone == ["x"]
    assert written(engine) == {}


def test_an_action_is_registered_on_the_coordinators_session_only(engine: Engine) -> None:
    with Session(engine) as session, pytest.raises(WrongUse):
        RollbackAction("incident", "undo", fails).register(session)
