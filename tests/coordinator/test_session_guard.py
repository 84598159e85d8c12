"""A domain's code that ends the transaction, or leaves it, is refused; nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import FunctionType
from typing import Any, cast

import psycopg
import pytest
from sqlalchemy import Engine, RootTransaction, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from coordinator import (
    Coordinator,
    DomainResult,
    FacadeEndedTransaction,
    FinishedRun,
    GovernanceFacade,
    IncidentFacade,
    RunCompletionTransaction,
    Transaction,
    TransactionFailed,
    WrongUse,
)
from tests.coordinator.database import engine_on, written
from tests.support.postgres import Postgres

Deed = Callable[[Session], object]


class Governance(GovernanceFacade):
    """Writes its row like the shipped one, and then does the deed."""

    def __init__(self, deed: Deed) -> None:
        self.deed = deed

    def evaluate(self, session: Session, run: FinishedRun) -> DomainResult:
        result = super().evaluate(session, run)
        self.deed(session)
        return result


def swallowing(deed: Deed) -> Deed:
    def swallowed(session: Session) -> None:
        with suppress(Exception):
            deed(session)

    return swallowed


def complete_with(engine: Engine, deed: Deed) -> TransactionFailed:
    coordinator = RunCompletionTransaction(engine, governance=Governance(deed))
    with pytest.raises(TransactionFailed) as failed:
        coordinator.execute(run_id="r1", tenant_id="t1", run_status="failed")
    return failed.value


def raw(session: Session) -> psycopg.Connection[Any]:
    return cast("psycopg.Connection[Any]", session.connection().connection.dbapi_connection)


def engine_of(session: Session) -> Engine:
    bind = session.get_bind()
    assert isinstance(bind, Engine)
    return bind


def url_of(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def transaction_of(session: Session) -> RootTransaction:
    transaction = session.connection().get_transaction()
    assert transaction is not None
    return transaction


DEEDS: dict[str, Deed] = {
    "session.commit": lambda session: session.commit(),
    "session.rollback": lambda session: session.rollback(),
    "session.close": lambda session: session.close(),
    "session.reset": lambda session: session.reset(),
    "session.invalidate": lambda session: session.invalidate(),
    "session.begin": lambda session: session.begin(),
    "session as context": lambda session: session.__exit__(None, None, None),
    "connection.commit": lambda session: session.connection().commit(),
    "connection.rollback": lambda session: session.connection().rollback(),
    "transaction.commit": lambda session: transaction_of(session).commit(),
    "sql commit": lambda session: session.execute(text("/* x */ -- y\n commit")),
    "sql rollback": lambda session: session.execute(text("ROLLBACK")),
    "sql end": lambda session: session.execute(text("end")),
    "sql prepare": lambda session: session.execute(text("prepare transaction 'x'")),
    "engine.connect": lambda session: engine_of(session).connect(),
    "engine.raw_connection": lambda session: engine_of(session).raw_connection(),
}


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS.keys())
def test_a_facade_that_ends_or_leaves_the_transaction_is_refused_by_name(
    untouched_engine: Engine, deed: Deed
) -> None:
    failed = complete_with(untouched_engine, deed)
    assert isinstance(failed.cause, FacadeEndedTransaction)
    assert failed.cause.operation == "governance"
    assert written(untouched_engine) == {}


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS.keys())
def test_a_facade_that_swallows_the_refusal_fails_the_transaction_all_the_same(
    untouched_engine: Engine, deed: Deed
) -> None:
    failed = complete_with(untouched_engine, swallowing(deed))
    assert isinstance(failed.cause, FacadeEndedTransaction)
    assert written(untouched_engine) == {}


def line_of(deed: Deed) -> int:
    """Where the deed is done; each stands on a line of its own."""
    return cast("FunctionType", deed).__code__.co_firstlineno


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS.keys())
def test_the_refusal_names_file_and_line_of_the_call(untouched_engine: Engine, deed: Deed) -> None:
    cause = complete_with(untouched_engine, deed).cause
    assert isinstance(cause, FacadeEndedTransaction)
    assert (cause.file, cause.line) == (__file__, line_of(deed))
    assert f"{__file__}:{line_of(deed)}" in str(cause)


def test_file_and_line_are_those_of_the_call_and_not_of_who_called_it(
    untouched_engine: Engine,
) -> None:
    def inner(session: Session) -> None:
        with engine_of(session).begin():
            pass

    cause = complete_with(untouched_engine, inner).cause
    assert isinstance(cause, FacadeEndedTransaction)
    assert cause.line == line_of(inner) + 1


def test_a_session_on_another_engine_for_the_same_database_is_refused_and_named(
    untouched_engine: Engine,
) -> None:
    with engine_on(url_of(untouched_engine)) as another:

        def deed(_: Session) -> None:
            with Session(another) as of_its_own:
                of_its_own.execute(text("select 1"))

        cause = complete_with(untouched_engine, deed).cause
    assert isinstance(cause, FacadeEndedTransaction)
    assert (cause.file, cause.line) == (__file__, line_of(deed) + 2)
    assert written(untouched_engine) == {}


def test_a_domain_may_read_another_database(engine: Engine, postgres: Postgres) -> None:
    with engine_on(postgres.url()) as elsewhere:

        def deed(_: Session) -> None:
            with Session(elsewhere) as reading:
                assert reading.scalar(text("select 1")) == 1

        RunCompletionTransaction(engine, governance=Governance(deed)).execute(
            run_id="r1", tenant_id="t1", run_status="failed"
        )
    assert written(engine)["policy_evaluations"] == 1


def test_any_engine_is_free_where_no_domain_runs(untouched_engine: Engine) -> None:
    complete_with(untouched_engine, lambda session: session.commit())
    with engine_on(url_of(untouched_engine)) as another, another.connect() as connection:
        assert connection.scalar(text("select 1")) == 1


RAW_DEEDS: dict[str, Deed] = {
    "commit()": lambda session: raw(session).commit(),
    "two statements in one text": lambda session: raw(session).execute("select 1; commit"),
}


@pytest.mark.parametrize("deed", RAW_DEEDS.values(), ids=RAW_DEEDS.keys())
def test_a_commit_on_the_drivers_connection_is_refused_by_the_database(
    untouched_engine: Engine, deed: Deed
) -> None:
    failed = complete_with(untouched_engine, deed)
    assert "claimed_run_is_completed_in_the_same_commit" in str(failed.cause)
    assert written(untouched_engine) == {}


@pytest.mark.parametrize("deed", RAW_DEEDS.values(), ids=RAW_DEEDS.keys())
def test_a_swallowed_commit_on_the_drivers_connection_leaves_nothing(
    untouched_engine: Engine, deed: Deed
) -> None:
    complete_with(untouched_engine, swallowing(deed))
    assert written(untouched_engine) == {}


def test_a_rollback_on_the_drivers_connection_leaves_nothing(untouched_engine: Engine) -> None:
    failed = complete_with(untouched_engine, lambda session: raw(session).rollback())
    assert isinstance(failed.cause, FacadeEndedTransaction)
    assert written(untouched_engine) == {}


def test_a_facade_that_completes_another_run_inside_is_refused(untouched_engine: Engine) -> None:
    inner = RunCompletionTransaction(untouched_engine)
    failed = complete_with(
        untouched_engine,
        lambda _: inner.execute(run_id="r2", tenant_id="t1", run_status="succeeded"),
    )
    assert written(untouched_engine) == {}
    assert isinstance(failed.cause, TransactionFailed | FacadeEndedTransaction)


def test_a_facade_may_use_savepoints(engine: Engine) -> None:
    def deed(session: Session) -> None:
        with suppress(ZeroDivisionError), session.begin_nested():
            session.execute(text("update public.policy_evaluations set reason = 'lost'"))
            raise ZeroDivisionError
        with session.begin_nested():
            session.execute(text("update public.policy_evaluations set reason = 'kept'"))

    RunCompletionTransaction(engine, governance=Governance(deed)).execute(
        run_id="r1", tenant_id="t1", run_status="failed"
    )
    with engine.connect() as connection:
        reason = connection.scalar(text("select reason from public.policy_evaluations"))
    assert reason == "kept"


def test_the_error_of_a_failed_statement_is_the_cause_not_the_rollback_after_it(
    engine: Engine,
) -> None:
    failed = complete_with(
        engine,
        lambda session: session.execute(
            text("insert into public.traces (id, tenant_id, run_id, status) values ('x','','','?')")
        ),
    )
    assert isinstance(failed.cause, IntegrityError)


def test_others_use_the_engine_freely_while_a_facade_runs(engine: Engine) -> None:
    def count_elsewhere() -> object:
        with engine.begin() as connection:
            return connection.scalar(text("select count(*) from public.incidents"))

    def deed(_: Session) -> None:
        with ThreadPoolExecutor(1) as other_thread:
            assert other_thread.submit(count_elsewhere).result() == 0

    result = RunCompletionTransaction(engine, governance=Governance(deed)).execute(
        run_id="r1", tenant_id="t1", run_status="failed"
    )
    assert result.is_complete


def test_the_session_is_free_again_after_the_operation(engine: Engine) -> None:
    coordinator = RunCompletionTransaction(engine, incident=IncidentFacade())
    coordinator.execute(run_id="r1", tenant_id="t1", run_status="failed")
    with Session(engine) as session:
        session.execute(text("select 1"))
        session.commit()


def test_an_address_is_no_engine_and_is_not_quoted() -> None:
    with pytest.raises(WrongUse, match="must be a SQLAlchemy Engine, not str") as refused:
        Coordinator("postgresql://u:secret@db/x")  # type: ignore[arg-type]  # what is refused here
    assert "secret" not in str(refused.value)


def test_a_coroutine_function_needs_the_other_coordinator(engine: Engine) -> None:
    async def fn(tx: Transaction) -> None: ...

    with pytest.raises(WrongUse, match="AsyncCoordinator"):
        Coordinator(engine).run(fn, key=("k",))
