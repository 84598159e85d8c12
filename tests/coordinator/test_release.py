"""Parked records: released in order and handled once, or given up with a name and a reason."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from coordinator import BadInput, discard, release
from coordinator.inbox.handling import each
from coordinator.inbox.memory import Record
from coordinator.inbox.release import handle_released
from tests.coordinator.records import (
    effects,
    handling,
    make_effects,
    parked,
    parked_id,
    record,
    refusing,
    write_down,
)
from tests.support.wait import until


@pytest.fixture
def inbox(engine: Engine) -> Engine:
    """The engine, with the table of effects."""
    make_effects(engine)
    return engine


def ask_release(engine: Engine, value: str) -> None:
    with engine.begin() as connection:
        release(connection, parked_id(engine, value), by="ada")


def ask_discard(engine: Engine, value: str) -> None:
    with engine.begin() as connection:
        discard(connection, parked_id(engine, value), by="ada", why="sent twice by hand")


def holds(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(text("select count(*) from inbox.hold")) or 0


def test_nothing_is_handled_before_it_is_released(inbox: Engine) -> None:
    handling(inbox, refusing("0")).finish([record(0)])
    assert handle_released(inbox, "billing", each(write_down)) == 0
    assert effects(inbox) == []


def test_released_records_are_handled_in_order_and_the_key_is_free(inbox: Engine) -> None:
    handling(inbox, refusing("0")).finish([record(n) for n in range(4)])
    ask_release(inbox, "2")
    assert handle_released(inbox, "billing", each(write_down)) == 4
    handling(inbox).finish([record(4)])
    assert effects(inbox) == ["0", "1", "2", "3", "4"]
    assert (parked(inbox), holds(inbox)) == ([], 0)


def test_a_record_is_released_as_it_came(inbox: Engine) -> None:
    came = record(0)._replace(
        value=None, headers=[("ce_id", b"\x00\xff"), ("x", None), ("x", b"2")], timestamp_ms=7
    )
    seen: list[Record] = []
    handling(inbox, lambda *_: 1 / 0).finish([came])
    with inbox.begin() as connection:
        release(connection, connection.scalar(text("select id from inbox.parked")) or 0, by="ada")
    handle_released(inbox, "billing", each(lambda _, one: seen.append(one)))
    assert seen == [came]


def test_other_keys_stay_parked(inbox: Engine) -> None:
    handling(inbox, refusing("0", "1")).finish([record(0, "a"), record(1, "b")])
    ask_release(inbox, "0")
    handle_released(inbox, "billing", each(write_down))
    assert effects(inbox) == ["0"]
    assert [value for value, _ in parked(inbox)] == ["1"]


def test_records_without_a_key_are_released_one_by_one(inbox: Engine) -> None:
    handling(inbox, refusing("0", "1")).finish([record(0, None), record(1, None)])
    ask_release(inbox, "1")
    handle_released(inbox, "billing", each(write_down))
    assert effects(inbox) == ["1"]
    assert [value for value, _ in parked(inbox)] == ["0"]


def test_one_that_fails_again_stays_with_what_is_behind_it_until_the_next_release(
    inbox: Engine,
) -> None:
    handling(inbox, refusing("0")).finish([record(n) for n in range(3)])
    ask_release(inbox, "0")
    handle_released(inbox, "billing", each(refusing("1")))
    assert effects(inbox) == ["0"]
    assert parked(inbox) == [("1", "ValueError: not today"), ("2", None)]
    assert handle_released(inbox, "billing", each(write_down)) == 0
    ask_release(inbox, "1")
    assert handle_released(inbox, "billing", each(write_down)) == 2


def test_a_released_record_that_comes_again_takes_no_effect_again(inbox: Engine) -> None:
    one = record(0)
    handling(inbox, refusing("0")).finish([one])
    ask_release(inbox, "0")
    handle_released(inbox, "billing", each(write_down))
    handling(inbox).finish([one])
    assert effects(inbox) == ["0"]


def test_two_that_handle_what_is_released_do_it_once_and_in_order(inbox: Engine) -> None:
    handling(inbox, refusing("0")).finish([record(n) for n in range(30)])
    ask_release(inbox, "0")
    with ThreadPoolExecutor(2) as pool:
        counts = pool.map(lambda _: handle_released(inbox, "billing", each(write_down)), range(2))
        assert sum(counts) == 30
    assert effects(inbox) == [str(n) for n in range(30)]


def test_a_record_that_comes_while_the_last_one_is_handled_is_not_left_behind(
    inbox: Engine,
) -> None:
    """Without the lock of the hold it joins a queue that is gone a moment later."""
    handling(inbox, refusing("0")).finish([record(0)])
    ask_release(inbox, "0")
    in_hand, go_on = Event(), Event()

    def slow(session: Session, one: Record) -> None:
        write_down(session, one)
        in_hand.set()
        go_on.wait(30)

    waiting = text("select 1 from pg_locks where not granted")
    with ThreadPoolExecutor(2) as pool, inbox.connect() as watch:
        releasing = pool.submit(handle_released, inbox, "billing", each(slow))
        in_hand.wait(30)
        coming = pool.submit(handling(inbox).finish, [record(1)])
        until(lambda: coming.done() or watch.execute(waiting).first(), what="the record to wait")
        go_on.set()
        assert releasing.result() == 1
        coming.result()
    assert (effects(inbox), parked(inbox)) == (["0", "1"], [])


def test_a_discarded_record_is_never_handled_and_stays_as_evidence(inbox: Engine) -> None:
    handling(inbox, refusing("0")).finish([record(0), record(1)])
    ask_discard(inbox, "0")
    assert [value for value, _ in parked(inbox)] == ["1"]
    ask_release(inbox, "1")
    handle_released(inbox, "billing", each(write_down))
    assert effects(inbox) == ["1"]
    evidence = "select discarded_by, discarded_why, discarded_at is not null from inbox.parked"
    with inbox.connect() as connection:
        assert connection.execute(text(evidence)).all() == [("ada", "sent twice by hand", True)]


def test_the_last_record_that_is_discarded_frees_its_key(inbox: Engine) -> None:
    handling(inbox, refusing("0")).finish([record(0)])
    ask_discard(inbox, "0")
    handling(inbox).finish([record(1)])
    assert effects(inbox) == ["1"]


def test_a_hidden_fault_of_the_database_parks_a_released_record_again(inbox: Engine) -> None:
    def hide(session: Session, _: Record) -> None:
        try:
            session.execute(text("select 1 / 0"))
        except Exception:  # noqa: BLE001 - the fault that is tested
            return

    handling(inbox, refusing("0")).finish([record(0)])
    ask_release(inbox, "0")
    assert handle_released(inbox, "billing", each(hide)) == 0
    [(value, reason)] = parked(inbox)
    assert (value, reason and reason.partition(":")[0]) == ("0", "InFailedSqlTransaction")


@pytest.mark.parametrize(
    "deed", [partial(release, by="ada"), partial(discard, by="ada", why="x")], ids=["re", "dis"]
)
def test_what_is_not_waiting_is_refused(inbox: Engine, deed: Callable[..., None]) -> None:
    handling(inbox, refusing("0")).finish([record(0)])
    gone = parked_id(inbox, "0")
    ask_discard(inbox, "0")
    for parked_number in (gone, 4_711):
        with inbox.begin() as connection, pytest.raises(BadInput, match=f"{parked_number}"):
            deed(connection, parked_number)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("by", {"by": "", "why": "x"}),
        ("by", {"by": "a\0", "why": "x"}),
        ("why", {"by": "ada", "why": "x" * 2_001}),
    ],
)
def test_bad_names_and_reasons_are_refused(
    inbox: Engine, field: str, values: dict[str, Any]
) -> None:
    with inbox.begin() as connection, pytest.raises(BadInput, match=field):
        discard(connection, 1, **values)


class _Inbox(RuleBasedStateMachine):
    """Records of two keys come, some bad; they are mended, released and given up in any order."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        with engine.begin() as connection:
            connection.execute(text("truncate public.effects, inbox.parked, inbox.hold"))
        self.came = 0
        self.bad: set[str] = set()
        self.done: dict[str, list[str]] = {"a": [], "b": []}
        self.queue: dict[str, list[str]] = {"a": [], "b": []}

    @rule(key=st.sampled_from("ab"), bad=st.booleans())
    def comes(self, key: str, bad: bool) -> None:
        value, self.came = str(self.came), self.came + 1
        if bad:
            self.bad.add(value)
        handling(self.engine, refusing(*self.bad)).finish([record(int(value), key)])
        (self.queue if bad or self.queue[key] else self.done)[key].append(value)

    @rule(key=st.sampled_from("ab"))
    def is_released(self, key: str) -> None:
        if not self.queue[key]:
            return
        ask_release(self.engine, self.queue[key][-1])
        handle_released(self.engine, "billing", each(refusing(*self.bad)))
        while self.queue[key] and self.queue[key][0] not in self.bad:
            self.done[key].append(self.queue[key].pop(0))

    @rule(key=st.sampled_from("ab"), last=st.booleans())
    def is_discarded(self, key: str, last: bool) -> None:
        if self.queue[key]:
            ask_discard(self.engine, self.queue[key].pop(-1 if last else 0))

    @rule()
    def is_mended(self) -> None:
        self.bad.clear()

    @invariant()
    def each_is_where_it_belongs(self) -> None:
        for key in "ab":
            assert effects(self.engine, key) == self.done[key]
        waiting = sorted(value for value, _ in parked(self.engine))
        assert waiting == sorted(self.queue["a"] + self.queue["b"])
        assert holds(self.engine) == sum(1 for queue in self.queue.values() if queue)


def test_any_history_of_a_key_keeps_its_order_and_loses_nothing(inbox: Engine) -> None:
    run_state_machine_as_test(
        lambda: _Inbox(inbox),  # type: ignore[arg-type]  # a factory will do, as Hypothesis says
        settings=settings(
            max_examples=15,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_key_of_any_size_is_held(inbox: Engine) -> None:
    key = "".join(f"{n:04x}" for n in range(2_048))
    handling(inbox, refusing("0")).finish([record(0, key), record(1, key), record(2)])
    assert effects(inbox) == ["2"]
    ask_release(inbox, "0")
    assert handle_released(inbox, "billing", each(write_down)) == 2


def test_a_discarded_record_makes_room_for_another_in_its_place(inbox: Engine) -> None:
    handling(inbox, refusing("0")).finish([record(0)])
    ask_discard(inbox, "0")
    again = record(0, event_id=uuid4())
    handling(inbox, refusing("0")).finish([again, record(1)])
    assert [value for value, _ in parked(inbox)] == ["0", "1"]
