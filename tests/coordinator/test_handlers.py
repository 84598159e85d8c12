"""What a handler may do in its transaction, and what is refused before anything is lost."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from coordinator import BadInput, Coordinator, WrongUse
from coordinator.inbox.handling import each, whole
from coordinator.inbox.memory import Record
from tests.coordinator.records import (
    effects,
    handling,
    make_effects,
    parked,
    record,
    refusing,
    write_down,
)


@pytest.fixture
def inbox(engine: Engine) -> Engine:
    """The engine, with the table of effects."""
    make_effects(engine)
    return engine


def test_a_handler_that_ends_the_transaction_in_sql_loses_nothing(inbox: Engine) -> None:
    def ends(session: Session, _: Record) -> None:
        session.execute(text("commit"))

    with pytest.raises(WrongUse, match="COMMIT"):
        handling(inbox, ends).finish([record(0)])
    handling(inbox).finish([record(0)])
    assert effects(inbox) == ["0"]


def test_a_handler_may_use_a_connection_of_its_own(inbox: Engine) -> None:
    def looks_elsewhere(session: Session, one: Record) -> None:
        with inbox.begin() as connection:
            connection.execute(text("select 1"))
        write_down(session, one)

    handling(inbox, looks_elsewhere).finish([record(0)])
    assert effects(inbox) == ["0"]


async def awaits(*_: object) -> None: ...


@pytest.mark.parametrize("door", [each, whole])
def test_a_coroutine_function_is_no_handler(door: Any) -> None:
    with pytest.raises(BadInput, match="plain function"):
        door(awaits)


def test_a_handler_that_returns_a_coroutine_stops_the_loop(inbox: Engine) -> None:
    with pytest.raises(WrongUse, match="coroutine"):
        handling(inbox, lambda *_: awaits()).finish([record(0)])
    handling(inbox).finish([record(0)])
    assert effects(inbox) == ["0"]


def test_a_handler_may_run_a_coordinator(inbox: Engine) -> None:
    def runs(session: Session, one: Record) -> None:
        Coordinator(inbox).run(lambda tx: write_down(tx.session, one), key=(one.event_id,))

    handling(inbox, runs).finish([record(0)])
    assert effects(inbox) == ["0"]


def test_a_deadlock_at_a_flush_is_no_reason_to_park(inbox: Engine) -> None:
    with inbox.begin() as connection:
        connection.execute(text(DEADLOCKS))
    handling(inbox, lambda session, _: add_and_flush(session)).finish([record(0)])
    assert parked(inbox) == []


def add_and_flush(session: Session) -> None:
    session.add(Thing())
    session.flush()


class Base(DeclarativeBase):
    """Of one table."""


class Thing(Base):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)


DEADLOCKS = """
create table things (id serial primary key);
create sequence tries;
create function fails() returns trigger language plpgsql as $$ begin
    if nextval('tries') < 8 then raise deadlock_detected; end if; return new; end $$;
create trigger fails before insert on things for each row execute function fails();
"""


def test_a_connections_rollback_is_found_and_nothing_is_lost(inbox: Engine) -> None:
    def rolls_back(session: Session, _: Record) -> None:
        session.connection().get_transaction().rollback()  # type: ignore[union-attr]  # there is one

    with pytest.raises(WrongUse, match="rollback"):
        handling(inbox, rolls_back).finish([record(0)])
    handling(inbox).finish([record(0)])
    assert effects(inbox) == ["0"]


def test_another_event_at_the_place_of_a_parked_one_is_parked_too(inbox: Engine) -> None:
    handling(inbox, refusing("old", "new")).finish([record(7, "k", "old")])
    handling(inbox, refusing("old", "new")).finish([record(7, "other", "new")])
    assert [value for value, _ in parked(inbox)] == ["old", "new"]
