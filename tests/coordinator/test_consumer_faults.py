"""The consumer fault kit: a correct handler passes, and each usual mistake is caught and named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from coordinator import BadInput, OutboxEvent
from coordinator.errors import HandlerBroken
from coordinator.inbox.memory import Record
from coordinator.testing import check_batch_handler, check_handler, relay_records

Handler = Callable[[Session, Record], object]

ADD = text("insert into public.payment (account, cents) values (:account, :cents)")
RAISE = text("""insert into public.balance (account, cents) values (:account, :cents)
                on conflict (account) do update set cents = public.balance.cents + :cents""")
PAYMENTS = text("select account, cents from public.payment order by id")
BALANCES = text("select account, cents from public.balance order by account")


@pytest.fixture
def bank(engine: Engine) -> Engine:
    with engine.begin() as connection:
        connection.execute(
            text("""create table public.payment (
                        id bigint generated always as identity, account text, cents int);
                    create table public.balance (account text primary key, cents int)""")
        )
    return engine


@pytest.fixture(scope="module")
def records() -> list[Record]:
    events = [
        OutboxEvent.json(topic="payments", key=f"account-{n % 3}", type="paid", data=n)
        for n in range(8)
    ]
    return relay_records(events, partitions=3)


def reset(session: Session) -> None:
    session.execute(text("truncate public.payment, public.balance"))


def balances(session: Session) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in session.execute(BALANCES)]


def cents_of(record: Record) -> dict[str, object]:
    assert record.key is not None
    assert record.value is not None
    return {"account": record.key.decode(), "cents": int(record.value) + 1}


def add_to_the_balance(session: Session, record: Record) -> None:
    session.execute(RAISE, cents_of(record))


def faults_of(
    engine: Engine,
    handler: Handler,
    records: Sequence[Record],
    effect: Callable[[Session], Any] = balances,
) -> set[str]:
    with pytest.raises(HandlerBroken) as caught:
        check_handler(handler, records, engine=engine, reset=reset, effect=effect)
    return set(caught.value.faults)


def test_a_handler_that_works_on_its_session_passes(bank: Engine, records: list[Record]) -> None:
    check_handler(add_to_the_balance, records, engine=bank, reset=reset, effect=balances)


def test_a_handler_that_writes_on_a_connection_of_its_own_does_not_survive_a_kill(
    bank: Engine, records: list[Record]
) -> None:
    def outside(session: Session, record: Record) -> None:
        with bank.begin() as connection:
            connection.execute(RAISE, cents_of(record))

    found = faults_of(bank, outside, records)
    assert found == {"killed before the commit", "parked", "mixed"}


def test_a_handler_that_commits_loses_what_follows_in_the_batch(
    bank: Engine, records: list[Record]
) -> None:
    def commits(session: Session, record: Record) -> None:
        add_to_the_balance(session, record)
        session.commit()

    assert "killed before the commit" in faults_of(bank, commits, records)


def test_a_handler_that_remembers_in_its_process_does_not_survive_a_kill(
    bank: Engine, records: list[Record]
) -> None:
    done: set[object] = set()

    def once_a_process(session: Session, record: Record) -> None:
        if record.event_id not in done:
            done.add(record.event_id)
            add_to_the_balance(session, record)

    def forget_and_reset(session: Session) -> None:
        done.clear()
        reset(session)

    with pytest.raises(HandlerBroken) as caught:
        check_handler(once_a_process, records, engine=bank, reset=forget_and_reset, effect=balances)
    assert set(caught.value.faults) == {"killed before the commit", "parked", "mixed"}


def test_a_handler_that_depends_on_where_a_batch_ends_is_named_so(
    bank: Engine, records: list[Record]
) -> None:
    def last_of_each_account(session: Session, batch: Sequence[Record]) -> None:
        for one in {record.key: record for record in batch}.values():
            add_to_the_balance(session, one)

    with pytest.raises(HandlerBroken) as caught:
        check_batch_handler(
            last_of_each_account, records, engine=bank, reset=reset, effect=balances
        )
    assert "all records in one batch" in caught.value.faults["cut elsewhere"]


def test_a_handler_that_depends_on_the_order_of_two_keys_fails_by_a_release_and_by_partitions(
    bank: Engine, records: list[Record]
) -> None:
    def in_order(session: Session, record: Record) -> None:
        session.execute(ADD, cents_of(record))

    def journal(session: Session) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in session.execute(PAYMENTS)]

    assert faults_of(bank, in_order, records, journal) == {"parked", "partitions"}


def test_what_the_handler_raises_under_a_fault_is_a_finding(
    bank: Engine, records: list[Record]
) -> None:
    def refuses_big_batches(session: Session, batch: Sequence[Record]) -> None:
        if len(batch) > 1:
            raise ValueError("one at a time")
        add_to_the_balance(session, batch[0])

    with pytest.raises(HandlerBroken, match="ValueError: one at a time"):
        check_batch_handler(refuses_big_batches, records, engine=bank, reset=reset, effect=balances)


class ForgetfulMemory:
    """Takes everything: under it no fault is harmless."""

    def take(self, session: Session, consumer: str, records: Sequence[Record]) -> list[bool]:
        return [True] * len(records)

    def tidy(self, session: Session) -> None: ...


def test_every_fault_that_repeats_is_really_made(bank: Engine, records: list[Record]) -> None:
    with pytest.raises(HandlerBroken) as caught:
        check_handler(
            add_to_the_balance,
            records,
            engine=bank,
            reset=reset,
            effect=balances,
            memory=ForgetfulMemory(),
        )
    repeating = {"repeated", "killed after the commit", "mixed"}
    assert set(caught.value.faults) == repeating


def test_the_same_seed_finds_the_same(bank: Engine, records: list[Record]) -> None:
    def outside(session: Session, record: Record) -> None:
        with bank.begin() as connection:
            connection.execute(RAISE, cents_of(record))

    found = []
    for _ in range(2):
        with pytest.raises(HandlerBroken, match=r"seed 7") as caught:
            check_handler(outside, records, engine=bank, reset=reset, effect=balances, seed=7)
        found.append(str(caught.value))
    assert found[0] == found[1]


def test_an_effect_that_is_drawn_anew_each_time_is_refused(
    bank: Engine, records: list[Record]
) -> None:
    with pytest.raises(BadInput, match="effect"):
        check_handler(
            add_to_the_balance, records, engine=bank, reset=reset, effect=lambda _: object()
        )


def test_a_single_record_is_refused(bank: Engine, records: list[Record]) -> None:
    with pytest.raises(BadInput, match="records"):
        check_handler(add_to_the_balance, records[:1], engine=bank, reset=reset, effect=balances)
