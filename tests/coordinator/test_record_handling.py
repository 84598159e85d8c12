"""Handling records: each takes effect once, is parked, or waits behind a parked one of its key."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from coordinator import NoTransaction, Poison, WrongUse
from coordinator.inbox.handling import Patience, each, whole
from coordinator.inbox.memory import Record
from tests.coordinator.database import statements_of
from tests.coordinator.records import (
    effects,
    handling,
    make_effects,
    parked,
    record,
    refusing,
    refusing_batches,
    write_down,
)


@pytest.fixture
def inbox(engine: Engine) -> Engine:
    """The engine, with the table of effects."""
    make_effects(engine)
    return engine


def test_a_batch_is_one_transaction_in_order(inbox: Engine) -> None:
    with statements_of(inbox) as sent:
        handling(inbox).finish([record(n) for n in range(50)])
    assert effects(inbox) == [str(n) for n in range(50)]
    assert len([one for one in sent if "inbox.take" in one]) == 1


def test_records_that_come_again_take_no_effect_again(inbox: Engine) -> None:
    records = [record(n) for n in range(3)]
    handling(inbox).finish(records)
    handling(inbox).finish([*records, record(3)])
    assert effects(inbox) == ["0", "1", "2", "3"]


def test_an_event_that_is_twice_in_a_batch_takes_effect_once(inbox: Engine) -> None:
    one = record(0)
    handling(inbox).finish([one, one._replace(offset=1)])
    assert effects(inbox) == ["0"]


def test_a_record_that_fails_is_parked_and_the_others_flow_on(inbox: Engine) -> None:
    records = [record(n, key=f"k{n}") for n in range(6)]
    handling(inbox, refusing("2", "4")).finish(records)
    assert effects(inbox) == ["0", "1", "3", "5"]
    assert parked(inbox) == [("2", "ValueError: not today"), ("4", "ValueError: not today")]


def test_later_records_of_its_key_are_parked_behind_it_in_order(inbox: Engine) -> None:
    records = [record(n, key="ab"[n % 2]) for n in range(6)]
    handling(inbox, refusing("2")).finish(records)
    handling(inbox).finish([record(6, key="a"), record(7, key="b")])
    assert effects(inbox) == ["0", "1", "3", "5", "7"]
    assert parked(inbox) == [("2", "ValueError: not today"), ("4", None), ("6", None)]


def test_a_record_without_a_key_holds_back_only_itself(inbox: Engine) -> None:
    records = [record(n, key=None) for n in range(3)]
    handling(inbox, refusing("0", "1")).finish(records)
    assert effects(inbox) == ["2"]
    assert [value for value, _ in parked(inbox)] == ["0", "1"]


def test_an_empty_key_is_a_key(inbox: Engine) -> None:
    handling(inbox, refusing("0")).finish([record(0, key=""), record(1, key="")])
    assert [value for value, _ in parked(inbox)] == ["0", "1"]


def test_a_key_is_held_for_its_topic_and_its_consumer_only(inbox: Engine) -> None:
    handling(inbox, refusing("0")).finish([record(0)])
    handling(inbox).finish([record(1)._replace(topic="refunds")])
    assert effects(inbox) == ["1"]


def test_a_parked_record_that_comes_again_is_not_parked_again(inbox: Engine) -> None:
    records = [record(0), record(1)]
    for _ in range(2):
        handling(inbox, refusing("0")).finish(records)
    assert [value for value, _ in parked(inbox)] == ["0", "1"]


def test_a_failing_record_is_tried_again_as_often_as_patience_says(inbox: Engine) -> None:
    calls = []

    def fails_twice(session: Session, one: Record) -> None:
        calls.append(one.value)
        if calls.count(b"0") < 3:
            raise ValueError
        write_down(session, one)

    patience = Patience(attempts_max=2, wait_first_s=0.001, wait_max_s=0.001)
    handling(inbox, fails_twice, patience=patience).finish([record(0, "a"), record(1, "b")])
    assert (effects(inbox), parked(inbox)) == (["0", "1"], [])


def test_poison_is_parked_without_another_attempt_when_alone(inbox: Engine) -> None:
    calls = []

    def refuse(_: Session, one: Record) -> None:
        calls.append(one)
        raise Poison("no such order")

    handling(inbox, refuse, patience=Patience(attempts_max=50)).finish([record(0)])
    assert len(calls) == 2
    assert parked(inbox) == [("0", "Poison: no such order")]


def test_a_batch_handler_is_cut_down_to_the_record_that_fails(inbox: Engine) -> None:
    records = [record(n, key=f"k{n}") for n in range(9)]
    handling(inbox, handle=whole(refusing_batches("3", "8"))).finish(records)
    assert effects(inbox) == ["0", "1", "2", "4", "5", "6", "7"]
    assert [value for value, _ in parked(inbox)] == ["3", "8"]


def test_a_broken_transaction_that_the_handler_hides_is_not_taken_for_success(
    inbox: Engine,
) -> None:
    """PostgreSQL answers its COMMIT with a rollback and without an error."""

    def hide(session: Session, one: Record) -> None:
        write_down(session, one)
        if one.value == b"1":
            try:
                session.execute(text("select 1 / 0"))
            except Exception:  # noqa: BLE001 - the fault that is tested
                return

    handling(inbox, hide).finish([record(n, key=f"k{n}") for n in range(3)])
    assert effects(inbox) == ["0", "2"]
    assert [value for value, _ in parked(inbox)] == ["1"]


def test_what_the_commit_refuses_is_the_records_fault(inbox: Engine) -> None:
    with inbox.begin() as connection:
        unique = "alter table public.effects add unique (value) deferrable initially deferred"
        connection.execute(text(unique))
    handling(inbox).finish([record(0, "a", "x"), record(1, "b", "x"), record(2, "c", "y")])
    assert effects(inbox) == ["x", "y"]
    [(value, reason)] = parked(inbox)
    assert value == "x"
    assert reason is not None
    assert reason.startswith("UniqueViolation: duplicate key value violates unique constraint")


def test_a_reason_is_one_line_without_the_values_of_the_statement(inbox: Engine) -> None:
    def leak(session: Session, _: Record) -> None:
        session.execute(text("select cast(:secret as int)"), {"secret": "1"})
        raise ValueError("first line\nsecret second line")

    handling(inbox, leak).finish([record(0)])
    assert parked(inbox) == [("0", "ValueError: first line")]


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_handler_that_ends_the_transaction_stops_the_loop(inbox: Engine, end: str) -> None:
    def ends(session: Session, _: Record) -> None:
        getattr(session, end)()

    with pytest.raises(WrongUse, match=rf"'billing' called session\.{end}\(\) at .*{__name__}"):
        handling(inbox, ends).finish([record(0)])
    with inbox.connect() as connection:
        assert connection.scalar(text("select count(*) from inbox.seen")) == 0


def test_an_engine_in_autocommit_stops_the_loop(inbox: Engine) -> None:
    autocommit = inbox.execution_options(isolation_level="AUTOCOMMIT")
    with pytest.raises(NoTransaction):
        handling(autocommit).finish([record(0)])


def test_a_fault_of_the_inbox_itself_parks_nothing(inbox: Engine) -> None:
    with inbox.begin() as connection:
        connection.execute(text("drop function inbox.take"))
    with pytest.raises(ProgrammingError):
        handling(inbox).finish([record(0)])
    assert parked(inbox) == []


def test_a_database_that_is_away_is_waited_for_without_limit(inbox: Engine) -> None:
    pauses: list[float] = []
    failures = 20

    def deadlock(session: Session, one: Record) -> None:
        write_down(session, one)
        if len(pauses) < failures:
            session.execute(text("do $$ begin raise deadlock_detected; end $$"))

    handling(inbox, deadlock, pause=pauses.append).finish([record(0), record(1)])
    assert (effects(inbox), parked(inbox), len(pauses)) == (["0", "1"], [], failures)


def test_records_of_a_partition_that_went_away_in_a_pause_are_left_alone(inbox: Engine) -> None:
    gone: set[int] = set()

    def refuse(session: Session, one: Record) -> None:
        write_down(session, one)
        if one.value == b"0":
            raise ValueError

    records = [record(0, "a"), record(1, "b", partition=1), record(2, "c")]
    handling(
        inbox, refuse, pause=lambda _: gone.add(0), is_ours=lambda one: one.partition not in gone
    ).finish(records)
    assert (effects(inbox), parked(inbox)) == (["1"], [])


def test_what_the_pause_raises_ends_it_with_nothing_half_done(inbox: Engine) -> None:
    class Stopped(Exception):
        pass

    def stop(_: float) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        handling(inbox, refusing("1"), pause=stop).finish([record(n, f"k{n}") for n in range(3)])
    assert (effects(inbox), parked(inbox)) == (["0"], [])


def test_of_two_with_the_same_records_one_takes_them(inbox: Engine) -> None:
    """The owner of a partition and a zombie, each with batches of its own."""
    records = [record(n, key=f"k{n % 5}") for n in range(200)]

    def go_through(size: int) -> None:
        one = handling(inbox, refusing("17", "60"))
        for start in range(0, len(records), size):
            one.finish(records[start : start + size])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(go_through, [30, 7]))
    for key in range(5):
        mine = [str(n) for n in range(200) if n % 5 == key]
        held = {2: 17, 0: 60}.get(key, 200)
        assert effects(inbox, f"k{key}") == [n for n in mine if int(n) < held]
    waiting = [int(value) for value, _ in parked(inbox)]
    assert sorted(waiting) == sorted({*range(17, 200, 5), *range(60, 200, 5)})


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    keys=st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=14),
    poison=st.sets(st.integers(0, 13)),
    cuts=st.lists(st.integers(1, 6), min_size=1, max_size=6),
    again=st.booleans(),
    in_batches=st.booleans(),
)
def test_each_record_comes_to_one_end_whatever_fails_and_wherever_batches_are_cut(
    inbox: Engine,
    keys: list[str | None],
    poison: set[int],
    cuts: list[int],
    again: bool,
    in_batches: bool,
) -> None:
    """`again`: every batch is read a second time, as after a crash between the two commits."""
    with inbox.begin() as connection:
        connection.execute(text("truncate public.effects, inbox.parked, inbox.hold"))
    refused = [str(n) for n in poison]
    handle = whole(refusing_batches(*refused)) if in_batches else each(refusing(*refused))
    records = [record(n, key) for n, key in enumerate(keys)]
    rest, turn = records, 0
    while rest:
        size = cuts[turn % len(cuts)]
        for _ in range(2 if again else 1):
            handling(inbox, handle=handle).finish(rest[:size])
        rest, turn = rest[size:], turn + 1

    done, waiting = expected(keys, poison)
    with inbox.connect() as connection:
        rows = connection.execute(text("select key, value from public.effects order by n")).all()
    by_key = defaultdict(list)
    for key, value in rows:
        by_key[key].append(int(value))
    assert by_key == done
    assert sorted(int(value) for value, _ in parked(inbox)) == waiting


def expected(
    keys: list[str | None], poison: set[int]
) -> tuple[dict[str | None, list[int]], list[int]]:
    done: dict[str | None, list[int]] = {}
    waiting: list[int] = []
    held: set[str] = set()
    for number, key in enumerate(keys):
        if key in held or number in poison:
            waiting.append(number)
            if key is not None:
                held.add(key)
        else:
            done.setdefault(key, []).append(number)
    return done, waiting


def test_a_database_that_cannot_be_reached_is_asked_again() -> None:
    class Stopped(Exception):
        pass

    def stop(_: float) -> None:
        raise Stopped

    nowhere = create_engine("postgresql+psycopg://x@127.0.0.1:1/x")
    with pytest.raises(Stopped):
        handling(nowhere, pause=stop).finish([record(0)])
