"""recover: undoes what transactions left that are over and not committed, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from types import ModuleType

import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from coordinator import (
    Coordinator,
    EarlierNotUndone,
    Recovery,
    RetryBudget,
    Transaction,
    TransactionFailed,
    recover,
    undo,
)
from coordinator.engine import intents, undo_registry
from tests.coordinator.database import engine_on
from tests.coordinator.orders import KEY
from tests.coordinator.outside_world import World, book, book_in, cancel, left, travel
from tests.coordinator.test_outside import acks, fails, failure_of
from tests.coordinator.test_repeat import waiting_for_a_lock
from tests.support.wait import until


def join_and_roll_back(engine: Engine, world: World, *things: str) -> None:
    """Leave effects outside: the end of a joined transaction is not seen."""
    with Session(engine) as session:
        with Coordinator(engine).join(session, key=KEY) as tx:
            travel(tx, world.folder, *things)
        session.rollback()


def join_and_commit(engine: Engine, world: World, *things: str) -> None:
    with (
        Session(engine) as session,
        session.begin(),
        Coordinator(engine).join(session, key=KEY) as tx,
    ):
        travel(tx, world.folder, *things)


def counts(recovery: Recovery) -> tuple[int, int, int, int]:
    """How many were undone, failed, running, unknown."""
    groups = (recovery.undone, recovery.failed, recovery.running, recovery.unknown)
    return tuple(len(group) for group in groups)  # type: ignore[return-value]  # four of them


@pytest.fixture
def other(database_url: str) -> Iterator[Engine]:
    """The engine of another process."""
    with engine_on(database_url) as made:
        yield made


def test_where_nothing_is_left_nothing_is_done(orders: Engine) -> None:
    assert recover(orders) == Recovery()


def test_a_joined_transaction_that_its_caller_rolled_back_is_undone_in_reverse(
    orders: Engine, world: World
) -> None:
    join_and_roll_back(orders, world, "flight", "hotel")
    assert counts(recover(orders)) == (2, 0, 0, 0)
    assert world.journal == ["book flight", "book hotel", "cancel hotel", "cancel flight"]
    assert left(orders) == 0


def test_a_joined_transaction_that_its_caller_committed_is_not(
    orders: Engine, world: World
) -> None:
    join_and_commit(orders, world, "flight")
    assert recover(orders) == Recovery()
    assert world.journal == ["book flight"]


def test_the_callers_next_try_undoes_the_one_before(orders: Engine, world: World) -> None:
    join_and_roll_back(orders, world, "flight")
    join_and_commit(orders, world, "hotel")
    assert world.journal == ["book flight", "cancel flight", "book hotel"]


def test_a_savepoint_around_a_block_that_is_rolled_back_leaves_its_effects_to_recover(
    orders: Engine, world: World
) -> None:
    with Session(orders) as session, session.begin(), session.begin_nested() as savepoint:
        with Coordinator(orders).join(session, key=KEY) as tx:
            travel(tx, world.folder, "flight")
        savepoint.rollback()
    assert counts(recover(orders)) == (1, 0, 0, 0)


def test_a_transaction_within_a_run_is_undone_with_it(orders: Engine, world: World) -> None:
    def runs(tx: Transaction) -> None:
        with Coordinator(orders).join(tx.session, key=("inner",)) as inner:
            travel(inner, world.folder, "flight")
        raise KeyError

    failure_of(orders, runs)
    assert world.journal == ["book flight", "cancel flight"]


def test_what_was_undone_is_told_and_acknowledged(orders: Engine, world: World) -> None:
    join_and_roll_back(orders, world, "flight")
    (effect,) = recover(orders).undone
    assert (effect.key, effect.action, effect.undo) == (("acme", "7"), "book", "test.cancel")
    assert acks(orders) == [
        ("outside", "test.cancel", "the process ended before the commit", True, None)
    ]


def test_a_report_is_json(orders: Engine, world: World) -> None:
    join_and_roll_back(orders, world, "flight")
    told = recover(orders).to_dict()
    assert [effect["undo"] for effect in told["undone"]] == ["test.cancel"]
    assert (told["failed"], told["running"], told["unknown"]) == ([], [], [])


def test_an_undo_that_fails_is_told_and_tried_by_the_next_recover(
    orders: Engine, world: World
) -> None:
    join_and_roll_back(orders, world, "flight")
    world.close()
    first = recover(orders)
    assert counts(first) == (0, 1, 0, 0)
    assert first.failed[0].error == "OSError: the hotel is closed"
    assert not first.is_complete
    world.open()
    assert counts(recover(orders)) == (1, 0, 0, 0)
    assert [ack[3] for ack in acks(orders)] == [False, True]


def test_an_undo_that_fails_does_not_stop_the_others(orders: Engine, world: World) -> None:
    @undo("test.never")
    def never(*_: object) -> None:
        raise OSError

    with Session(orders) as session:
        with Coordinator(orders).join(session, key=KEY) as tx:
            book_in(tx, world.folder, "flight")
            tx.outside(lambda: None, undo=never)
        session.rollback()
    assert counts(recover(orders)) == (1, 1, 0, 0)
    assert world.bookings == []


def test_an_undo_that_no_module_registers_is_left_alone(
    orders: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    join_and_roll_back(orders, world, "flight")
    with monkeypatch.context() as patch:
        patch.setattr(undo_registry, "_functions", {})
        found = recover(orders)
    assert counts(found) == (0, 0, 0, 1)
    assert not found.is_complete
    assert world.bookings != []
    assert counts(recover(orders)) == (1, 0, 0, 0)


def test_an_undo_may_be_a_coroutine_function(orders: Engine, world: World) -> None:
    @undo("test.slow_cancel")
    async def slow_cancel(folder: str, what: str, attempt: str) -> None:
        cancel(folder, what, attempt)

    with Session(orders) as session:
        with Coordinator(orders).join(session, key=KEY) as tx:
            tx.outside(book, world.folder, "flight", str(tx.attempt_id), undo=slow_cancel)
        session.rollback()
    assert counts(recover(orders)) == (1, 0, 0, 0)
    assert world.bookings == []


def test_a_transaction_that_is_open_is_left_alone(
    orders: Engine, other: Engine, world: World
) -> None:
    found: list[Recovery] = []

    def look() -> None:
        found.append(pool.submit(recover, other).result())

    def books(folder: str, what: str, attempt: str) -> str:
        look()
        return book(folder, what, attempt)

    def acts(tx: Transaction) -> None:
        book_in(tx, world.folder, "flight", books)
        look()

    with ThreadPoolExecutor(1) as pool:
        Coordinator(orders).run(acts, key=KEY)
    assert [counts(each) for each in found] == [(0, 0, 1, 0), (0, 0, 1, 0)]
    assert world.journal == ["book flight"]


def test_a_transaction_that_is_committed_while_recover_looks_is_not_undone(
    orders: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = intents.unsettled
    with Session(orders) as session:
        with Coordinator(orders).join(session, key=KEY) as tx:
            travel(tx, world.folder, "flight")

        def looks_before_the_commit(connection: Connection) -> list[intents.Intent]:
            found = look(connection)
            session.commit()
            return found

        monkeypatch.setattr(intents, "unsettled", looks_before_the_commit)
        assert recover(orders) == Recovery()
    assert world.journal == ["book flight"]


class Gate:
    """An undo that says when it has begun, and goes on when it is told to."""

    def __init__(self) -> None:
        self.begun, self.may_end = Event(), Event()
        self.calls = 0

    def __call__(self, *_: object) -> None:
        self.calls += 1
        self.begun.set()
        assert self.may_end.wait(30)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """In the place of `test.cancel`."""
    made = Gate()
    monkeypatch.setitem(undo_registry._functions, "test.cancel", made)
    return made


def test_two_at_one_moment_undo_once(
    orders: Engine, other: Engine, world: World, gate: Gate
) -> None:
    join_and_roll_back(orders, world, "flight")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(recover, orders)
        assert gate.begun.wait(30)
        second = recover(other)
        gate.may_end.set()
        assert (counts(first.result()), counts(second)) == ((1, 0, 0, 0), (0, 0, 1, 0))
    assert gate.calls == 1


def test_a_new_attempt_waits_for_the_undoing_of_the_one_before(
    orders: Engine, other: Engine, world: World, gate: Gate
) -> None:
    join_and_roll_back(orders, world, "flight")
    with ThreadPoolExecutor(2) as pool:
        recovering = pool.submit(recover, other)
        assert gate.begun.wait(30)
        running = pool.submit(Coordinator(orders).run, travel, world.folder, "hotel", key=KEY)
        until(lambda: waiting_for_a_lock(orders), what="the attempt to wait for the undoing")
        assert world.journal == ["book flight"]
        gate.may_end.set()
        recovering.result()
        running.result()
    assert gate.calls == 1
    assert world.journal == ["book flight", "book hotel"]


def test_a_new_attempt_does_not_wait_for_ever_and_says_for_whom(
    orders: Engine, other: Engine, world: World, gate: Gate
) -> None:
    join_and_roll_back(orders, world, "flight")
    with ThreadPoolExecutor(1) as pool:
        recovering = pool.submit(recover, other)
        assert gate.begun.wait(30)
        impatient = Coordinator(orders, budget=RetryBudget(total_s=0.1))
        with pytest.raises(TransactionFailed, match="another process undoes it now") as failed:
            impatient.run(travel, world.folder, "hotel", key=KEY)
        gate.may_end.set()
        recovering.result()
    assert isinstance(failed.value.cause, EarlierNotUndone)
    assert world.journal == ["book flight"]


def test_a_process_that_finds_its_effect_undone_by_recover_takes_it_as_done(
    orders: Engine, other: Engine, world: World, armed_failpoints: ModuleType
) -> None:
    armed_failpoints.arm("outside.rolled_back", lambda: recover(other))
    failed = failure_of(orders, fails, world.folder, "flight")
    assert world.journal == ["book flight", "cancel flight"]
    assert [ack.action_succeeded for ack in failed.acks] == [True]


def test_what_was_left_of_many_attempts_is_undone(orders: Engine, world: World) -> None:
    for order in range(3):
        with Session(orders) as session:
            with Coordinator(orders).join(session, key=("acme", order)) as tx:
                travel(tx, world.folder, "flight")
            session.rollback()
    assert counts(recover(orders)) == (3, 0, 0, 0)


def test_it_works_where_the_engine_has_another_isolation_level(
    orders: Engine, world: World
) -> None:
    join_and_roll_back(orders, world, "flight")
    assert counts(recover(orders.execution_options(isolation_level="SERIALIZABLE")))[0] == 1
