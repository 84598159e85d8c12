"""F07: COMMIT was sent and its reply never came; the outcome is looked up, never guessed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import Engine, insert
from sqlalchemy.orm import Session

from coordinator import (
    CommitOutcomeUnknown,
    DomainResult,
    FinishedRun,
    IncidentFacade,
    RetryBudget,
    RollbackAction,
    RunCompletionTransaction,
    RunConflict,
)
from coordinator.domains.tables import domain_acks, run_claims
from relay.admin import migrate
from tests.coordinator.database import count, engine_on, written
from tests.support.proxy import TcpProxy

AtTheCommit = Callable[[Callable[[], None]], None]

RUN: dict[str, Any] = {"run_id": "r1", "tenant_id": "t1", "run_status": "failed"}
ONE_SET = {
    "incidents": 1,
    "policy_evaluations": 1,
    "run_completions": 1,
    "run_claims": 1,
    "event": 3,
}


class CountsUndoings(IncidentFacade):
    """Has an effect outside, and an action that undoes it."""

    def __init__(self) -> None:
        self.done = self.undone = 0

    def create(self, session: Session, run: FinishedRun) -> DomainResult:
        RollbackAction("incident", "undo", self.undo).register(session)
        self.done += 1
        return super().create(session, run)

    def undo(self) -> None:
        self.undone += 1


@pytest.fixture
def server(own_postgres: Callable[..., Any]) -> Any:
    made = own_postgres()
    migrate.upgrade(made.url())
    return made


@pytest.fixture
def proxy(server: Any) -> Iterator[TcpProxy]:
    with TcpProxy("127.0.0.1", server.port) as made:
        yield made


@pytest.fixture
def engine(server: Any, proxy: TcpProxy) -> Iterator[Engine]:
    with engine_on(server.url(port=proxy.port)) as made:
        yield made


@pytest.fixture
def at_the_commit(armed_failpoints: ModuleType) -> Callable[[Callable[[], None]], None]:
    """Does something when the next transaction is about to commit."""
    return lambda deed: armed_failpoints.arm("coordinator.before_commit", deed)


def test_a_commit_that_happened_is_found_and_not_done_again(
    engine: Engine, proxy: TcpProxy, at_the_commit: AtTheCommit
) -> None:
    incident = CountsUndoings()
    at_the_commit(lambda: proxy.cut_after_client_sends(b"COMMIT", drop_reply=True))
    result = RunCompletionTransaction(engine, incident=incident).execute(**RUN)
    assert proxy.tripped.is_set()
    assert (incident.done, incident.undone) == (1, 0)
    assert not result.replayed
    assert written(engine) == ONE_SET


def test_a_commit_that_did_not_happen_is_undone_and_done_again(
    engine: Engine, proxy: TcpProxy, at_the_commit: AtTheCommit
) -> None:
    incident = CountsUndoings()
    at_the_commit(proxy.cut)
    result = RunCompletionTransaction(engine, incident=incident).execute(**RUN)
    assert (incident.done, incident.undone) == (2, 1)
    assert not result.replayed
    assert written(engine) == ONE_SET


def completed_meanwhile_by_another(
    proxy: TcpProxy, server: Any, run_status: str
) -> Callable[[], None]:
    """Cuts the commit off, and has another runner complete the run before it is looked up."""

    def deed() -> None:
        proxy.cut()
        with engine_on(server.url()) as direct:
            RunCompletionTransaction(direct).execute(**RUN | {"run_status": run_status})

    return deed


def test_a_lost_commit_that_another_caller_made_good_is_undone_and_the_others_result_returned(
    engine: Engine, proxy: TcpProxy, server: Any, at_the_commit: AtTheCommit
) -> None:
    incident = CountsUndoings()
    at_the_commit(completed_meanwhile_by_another(proxy, server, RUN["run_status"]))
    result = RunCompletionTransaction(engine, incident=incident).execute(**RUN)
    assert result.replayed
    assert (incident.done, incident.undone) == (1, 1)


def test_a_lost_commit_is_undone_when_another_caller_completed_the_run_differently(
    engine: Engine, proxy: TcpProxy, server: Any, at_the_commit: AtTheCommit
) -> None:
    incident = CountsUndoings()
    at_the_commit(completed_meanwhile_by_another(proxy, server, "cancelled"))
    with pytest.raises(RunConflict):
        RunCompletionTransaction(engine, incident=incident).execute(**RUN)
    assert (incident.done, incident.undone) == (1, 1)


def test_a_commit_that_cannot_be_looked_up_is_said_to_be_unknown_and_undoes_nothing(
    server: Any, engine: Engine, proxy: TcpProxy, at_the_commit: AtTheCommit
) -> None:
    incident = CountsUndoings()
    budget = RetryBudget(attempts_max=2, total_s=1, wait_max_s=0.01)
    coordinator = RunCompletionTransaction(engine, incident=incident, budget=budget)
    at_the_commit(proxy.close)
    with pytest.raises(CommitOutcomeUnknown):
        coordinator.execute(**RUN)
    assert incident.undone == 0
    with engine_on(server.url()) as direct:
        assert count(direct, domain_acks) == 0


def test_the_same_call_after_an_unknown_outcome_completes_the_run_once(
    server: Any, engine: Engine, proxy: TcpProxy, at_the_commit: AtTheCommit
) -> None:
    budget = RetryBudget(attempts_max=2, total_s=1, wait_max_s=0.01)
    at_the_commit(proxy.close)
    with pytest.raises(CommitOutcomeUnknown):
        RunCompletionTransaction(engine, budget=budget).execute(**RUN)
    with engine_on(server.url()) as direct:
        RunCompletionTransaction(direct).execute(**RUN)
        assert written(direct) == ONE_SET


def test_an_old_transaction_that_does_not_end_is_waited_for_within_the_budget(
    server: Any, engine: Engine, proxy: TcpProxy, at_the_commit: AtTheCommit
) -> None:
    """Stands for a server that has not noticed yet that its client is gone."""
    incident = CountsUndoings()
    budget = RetryBudget(attempts_max=2, total_s=1, wait_max_s=0.01)
    with engine_on(server.url()) as direct, direct.connect() as old:

        def cut_and_hold_the_claim() -> None:
            proxy.cut()
            old.execute(insert(run_claims), {"tenant_id": "t1", "run_id": "r1"})

        at_the_commit(cut_and_hold_the_claim)
        with pytest.raises(CommitOutcomeUnknown):
            RunCompletionTransaction(engine, incident=incident, budget=budget).execute(**RUN)
        old.rollback()
    assert incident.undone == 0
