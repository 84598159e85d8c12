"""tx.outside: an action outside the database, undone in this process where it does not commit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from coordinator import (
    Coordinator,
    EarlierNotUndone,
    FacadeEndedTransaction,
    RetryBudget,
    RollbackAction,
    Transaction,
    TransactionFailed,
    WrongUse,
    recover,
    undo,
)
from coordinator.engine.claims import transaction_acks
from coordinator.engine.intents import transaction_intents
from tests.coordinator.database import count, engine_on
from tests.coordinator.orders import KEY, done
from tests.coordinator.outside_world import World, book, book_in, cancel, left, travel

FAST = RetryBudget(attempts_max=3, wait_max_s=0.01)


class Fails(Exception):
    """The user's own."""


def fails(tx: Transaction, folder: str, *things: str) -> None:
    travel(tx, folder, *things)
    raise Fails("mine")


def failure_of(engine: Engine, function: Any, *args: Any) -> TransactionFailed:
    with pytest.raises(TransactionFailed) as failed:
        Coordinator(engine, budget=FAST).run(function, *args, key=KEY)
    return failed.value


def acks(engine: Engine) -> list[tuple[Any, ...]]:
    row = transaction_acks.c
    columns = (row.domain, row.action, row.reason, row.action_succeeded, row.action_error)
    with engine.connect() as connection:
        return [tuple(one) for one in connection.execute(select(*columns).order_by(row.created_at))]


@pytest.fixture
def observer(orders: Engine, database_url: str) -> Iterator[Engine]:
    """Another engine on the database of `orders`: an action may not use the transaction's own."""
    with engine_on(database_url) as made:
        yield made


def test_the_action_is_done_and_its_answer_returned(orders: Engine, world: World) -> None:
    outcome = Coordinator(orders).run(travel, world.folder, "flight", key=KEY)
    assert outcome.value == world.bookings
    assert world.journal == ["book flight"]


def test_an_answer_need_not_be_json(orders: Engine) -> None:
    def asks(tx: Transaction) -> None:
        assert type(tx.outside(object, undo=cancel)) is object

    Coordinator(orders).run(asks, key=KEY)


def test_the_intent_is_committed_before_the_action(orders: Engine, observer: Engine) -> None:
    seen: list[int] = []

    def looks(tx: Transaction) -> None:
        tx.outside(lambda: seen.append(left(observer)), undo=cancel)

    Coordinator(orders).run(looks, key=KEY)
    assert seen == [1]


def test_nothing_is_left_to_recover_after_the_commit(orders: Engine, world: World) -> None:
    Coordinator(orders).run(travel, world.folder, "flight", "hotel", key=KEY)
    assert left(orders) == 0


@pytest.mark.parametrize("isolation_level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_an_effect_is_settled_in_each_isolation_level(
    orders: Engine, world: World, isolation_level: Any
) -> None:
    engine = orders.execution_options(isolation_level=isolation_level)
    Coordinator(engine).run(travel, world.folder, "flight", key=KEY)
    assert left(orders) == 0
    recover(engine)
    assert world.journal == ["book flight"]


def test_rows_of_settled_attempts_are_swept_by_the_next_who_acts_outside(
    orders: Engine, world: World
) -> None:
    for order in range(3):
        Coordinator(orders).run(travel, world.folder, "flight", key=("acme", order))
    assert count(orders, transaction_intents) == 1


def test_a_failure_undoes_in_reverse_after_the_rollback(orders: Engine, world: World) -> None:
    failed = failure_of(orders, fails, world.folder, "flight", "hotel")
    assert isinstance(failed.cause, Fails)
    assert world.journal == ["book flight", "book hotel", "cancel hotel", "cancel flight"]
    assert world.bookings == []
    assert left(orders) == 0


def test_an_undo_leaves_an_ack_in_the_database_and_in_the_error(
    orders: Engine, world: World
) -> None:
    failed = failure_of(orders, fails, world.folder, "flight")
    assert acks(orders) == [("outside", "test.cancel", "Fails: mine", True, None)]
    assert [(ack.domain, ack.action_succeeded) for ack in failed.acks] == [("outside", True)]


def test_undos_and_rollback_actions_run_in_one_reverse_order(orders: Engine, world: World) -> None:
    deeds: list[list[str]] = []

    def mixed(tx: Transaction) -> None:
        book_in(tx, world.folder, "flight")
        tx.operation("mail", lambda _: None, undo=lambda _: deeds.append(world.journal))
        book_in(tx, world.folder, "hotel")
        raise Fails

    failed = failure_of(orders, mixed)
    assert deeds == [["book flight", "book hotel", "cancel hotel"]]
    assert [ack.domain for ack in failed.acks] == ["outside", "mail", "outside"]


def test_an_undo_that_fails_does_not_stop_the_others_and_is_left_to_recover(
    orders: Engine, world: World
) -> None:
    @undo("test.away")
    def away(*_: object) -> None:
        raise OSError("away\nwith a second line")

    def mixed(tx: Transaction) -> None:
        book_in(tx, world.folder, "flight")
        tx.outside(lambda: None, undo=away)
        raise Fails

    failed = failure_of(orders, mixed)
    assert [(ack.action, ack.action_error) for ack in failed.acks] == [
        ("test.away", "OSError: away"),
        ("test.cancel", None),
    ]
    assert world.bookings == []
    with orders.connect() as connection:
        row = connection.execute(select(transaction_intents)).one()
    assert (row.undo, row.failures, row.last_error) == ("test.away", 1, "OSError: away")


def test_an_action_that_raises_may_have_acted_and_is_undone(orders: Engine, world: World) -> None:
    def books_and_fails(folder: str, what: str, attempt: str) -> str:
        book(folder, what, attempt)
        raise Fails

    failed = failure_of(orders, lambda tx: book_in(tx, world.folder, "flight", books_and_fails))
    assert isinstance(failed.cause, Fails)
    assert world.journal == ["book flight", "cancel flight"]


def test_an_action_that_fails_fails_the_whole_though_its_error_is_caught(
    orders: Engine, world: World
) -> None:
    def never(*_: object) -> str:
        raise Fails

    def catches(tx: Transaction) -> None:
        with pytest.raises(Fails):
            book_in(tx, world.folder, "flight", never)

    assert isinstance(failure_of(orders, catches).cause, Fails)
    assert done(orders) == {}


def test_a_retry_undoes_the_first_attempts_effect_and_acts_again_under_another_name(
    orders: Engine, world: World
) -> None:
    names: list[str] = []

    def overtaken(tx: Transaction) -> None:
        names.append(book_in(tx, world.folder, "flight"))
        if len(names) == 1:
            tx.session.execute(text("do $$begin raise sqlstate '40001'; end$$"))

    Coordinator(orders, budget=FAST).run(overtaken, key=KEY)
    assert world.journal == ["book flight", "cancel flight", "book flight"]
    assert names[0] != names[1]
    assert world.bookings == names[1:]


def test_a_repeat_does_nothing_outside(orders: Engine, world: World) -> None:
    for _ in range(2):
        Coordinator(orders).run(travel, world.folder, "flight", key=KEY)
    assert world.journal == ["book flight"]


def test_an_interrupt_undoes_too(orders: Engine, world: World) -> None:
    def interrupted(tx: Transaction) -> None:
        book_in(tx, world.folder, "flight")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Coordinator(orders).run(interrupted, key=KEY)
    assert world.bookings == []


def test_what_an_earlier_attempt_left_is_undone_before_the_next_one_acts(
    orders: Engine, world: World
) -> None:
    world.close()
    failure_of(orders, fails, world.folder, "flight")
    world.open()
    Coordinator(orders).run(travel, world.folder, "flight", key=KEY)
    assert world.journal == [
        "book flight",
        "fail to cancel flight",
        "cancel flight",
        "book flight",
    ]


def test_nothing_is_done_on_top_of_what_cannot_be_undone(orders: Engine, world: World) -> None:
    world.close()
    failure_of(orders, fails, world.folder, "flight")
    failed = failure_of(orders, travel, world.folder, "hotel")
    assert isinstance(failed.cause, EarlierNotUndone)
    assert "'test.cancel' did not take it back: OSError: the hotel is closed" in str(failed)
    assert "book hotel" not in world.journal


def test_another_keys_leftovers_are_left_alone(orders: Engine, world: World) -> None:
    world.close()
    failure_of(orders, fails, world.folder, "flight")
    Coordinator(orders).run(travel, world.folder, "hotel", key=("acme", 8))
    assert left(orders) == 1


def test_an_action_that_ends_the_transaction_is_refused_by_its_name(
    orders: Engine, world: World
) -> None:
    def commits(tx: Transaction) -> None:
        session = tx.session
        tx.outside(session.commit, undo=cancel)

    failed = failure_of(orders, commits)
    assert isinstance(failed.cause, FacadeEndedTransaction)
    assert failed.cause.operation == "GuardedSession.commit"


@pytest.mark.parametrize("core", [False, True], ids=["session", "connection"])
def test_within_a_savepoint_nothing_is_done_outside(
    orders: Engine, world: World, core: bool
) -> None:
    def nested(tx: Transaction) -> None:
        holder: Any = tx.session.connection() if core else tx.session
        with holder.begin_nested():
            book_in(tx, world.folder, "flight")

    failed = failure_of(orders, nested)
    assert isinstance(failed.cause, WrongUse)
    assert "savepoint" in str(failed.cause)
    assert world.journal == []


def test_nor_after_a_savepoint_in_sql_whose_end_is_not_seen(orders: Engine, world: World) -> None:
    def nested(tx: Transaction) -> None:
        tx.session.execute(text("savepoint mine"))
        book_in(tx, world.folder, "flight")

    assert "savepoint" in str(failure_of(orders, nested).cause)
    assert world.journal == []


def test_after_a_savepoint_it_is(orders: Engine, world: World) -> None:
    def after(tx: Transaction) -> None:
        with tx.session.begin_nested():
            pass
        book_in(tx, world.folder, "flight")

    Coordinator(orders).run(after, key=KEY)
    assert world.journal == ["book flight"]


def test_the_attempts_name_is_the_same_in_all_of_an_attempt(orders: Engine) -> None:
    def names(tx: Transaction) -> None:
        assert isinstance(tx.attempt_id, UUID)
        assert tx.attempt_id == tx.attempt_id

    Coordinator(orders).run(names, key=KEY)


def test_a_transaction_that_is_over_does_nothing_outside(orders: Engine, world: World) -> None:
    kept: list[Transaction] = []
    Coordinator(orders).run(kept.append, key=KEY)
    with pytest.raises(WrongUse, match="over"):
        book_in(kept[0], world.folder, "flight")
    assert world.journal == []


def test_an_action_and_an_undo_may_be_coroutine_functions(orders: Engine, world: World) -> None:
    async def act(folder: str, what: str, attempt: str) -> str:
        return book(folder, what, attempt)

    @undo("test.async")
    async def take_back(folder: str, what: str, attempt: str) -> None:
        cancel(folder, what, attempt)

    def acts(tx: Transaction) -> None:
        tx.outside(act, world.folder, "flight", str(tx.attempt_id), undo=take_back)
        raise Fails

    failure_of(orders, acts)
    assert world.journal == ["book flight", "cancel flight"]


def test_a_rollback_action_of_a_domain_still_works_beside_it(orders: Engine, world: World) -> None:
    def registers(session: Session) -> None:
        RollbackAction("mail", "unsend", lambda: None).register(session)

    def mixed(tx: Transaction) -> None:
        tx.operation("mail", registers)
        book_in(tx, world.folder, "flight")
        raise Fails

    assert [ack.action for ack in failure_of(orders, mixed).acks] == ["test.cancel", "unsend"]
