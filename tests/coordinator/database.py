"""What the coordinator's tests ask of a database: an engine, and what stands in its tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, Table, create_engine, event, func, select
from sqlalchemy.orm import Session

from coordinator import TraceFacade
from coordinator.domains import tables
from coordinator.outbox.table import outbox_event

WRITTEN_TABLES = (
    tables.incidents,
    tables.policy_evaluations,
    tables.run_completions,
    tables.run_claims,
    outbox_event,
)


@contextmanager
def engine_on(url: str, **options: object) -> Iterator[Engine]:
    """An engine on the database `url`, disposed at the end."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), **options)
    try:
        yield engine
    finally:
        engine.dispose()


def count(engine: Engine, table: Table) -> int:
    """How many rows `table` has."""
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def written(engine: Engine) -> dict[str, int]:
    """How many rows each table has that a completion writes; without those that have none."""
    counts = {table.name: count(engine, table) for table in WRITTEN_TABLES}
    with engine.connect() as connection:
        completed = select(func.count()).where(tables.traces.c.status == "completed")
        counts["completed traces"] = connection.scalar(completed) or 0
    return {name: rows for name, rows in counts.items() if rows}


def start_trace(engine: Engine, tenant_id: str, run_id: str) -> str:
    """A committed, open trace of the run."""
    with Session(engine) as session, session.begin():
        return TraceFacade().start(session, tenant_id=tenant_id, run_id=run_id)


@contextmanager
def statements_of(engine: Engine | type[Engine]) -> Iterator[list[str]]:
    """The statements that are sent within the block, by `engine` or by all engines."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)
