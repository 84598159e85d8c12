"""The memory `marks` on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from coordinator import BadInput, NoTransaction
from coordinator.errors import PlacesWentBack
from coordinator.inbox.marks import Marks
from coordinator.inbox.memory import Record
from coordinator.inbox.places import RECENT
from tests.coordinator.database import statements_of
from tests.coordinator.relay_records import SECOND_EPOCH, relay_record
from tests.support.wait import until

ANOTHER_WAITS = text("select 1 from pg_locks where not granted")
HEADERS = ["ce_id", "ce_source", "ce_time", "ce_sequence", "ce_outboxepoch"]
STRANGE = [(name, value) for name in HEADERS for value in (None, b"", b"a\0b", b"\xff")]


def take(
    engine: Engine, records: Sequence[Record], consumer: str = "billing", isolation: str = ""
) -> list[bool]:
    options = {"isolation_level": isolation} if isolation else {}
    with engine.connect().execution_options(**options) as connection, Session(connection) as own:
        answers = Marks().take(own, consumer, records)
        own.commit()
        return answers


def column(engine: Engine, query: str) -> list[object]:
    with engine.connect() as connection:
        return list(connection.execute(text(query)).scalars())


def test_an_event_is_new_the_first_time_only(engine: Engine) -> None:
    assert take(engine, [relay_record(1), relay_record(2), relay_record(1)]) == [True, True, False]
    assert take(engine, [relay_record(2), relay_record(3)]) == [False, True]


def test_a_rolled_back_take_does_not_count(engine: Engine) -> None:
    with Session(engine) as session:
        Marks().take(session, "billing", [relay_record(1)])
        session.rollback()
    assert take(engine, [relay_record(1)]) == [True]


def test_each_consumer_topic_partition_and_source_has_a_mark_of_its_own(engine: Engine) -> None:
    take(engine, [relay_record(9)])
    others = [
        relay_record(1, event=101, partition=1),
        relay_record(1, event=102, topic="runs"),
        relay_record(1, event=103, headers={"ce_source": b"/runs"}),
    ]
    assert take(engine, others) == [True] * 3
    assert take(engine, [relay_record(9)], consumer="search") == [True]


def test_a_batch_is_one_read_and_one_write_however_large(engine: Engine) -> None:
    take(engine, [relay_record(n, partition=n % 4) for n in range(8)])
    batch = [relay_record(n, partition=n % 4) for n in range(8, 2_000)]
    with statements_of(engine) as sent:
        assert all(take(engine, batch))
    assert len(sent) == 2


def test_a_batch_of_repeats_writes_nothing(engine: Engine) -> None:
    batch = [relay_record(n) for n in range(100)]
    take(engine, batch)
    with statements_of(engine) as sent:
        assert not any(take(engine, batch))
    assert not [one for one in sent if "insert" in one or "update inbox" in one]


def test_a_second_consumer_of_the_same_partition_waits_and_judges_by_the_committed_mark(
    engine: Engine,
) -> None:
    take(engine, [relay_record(1)])
    batch = [relay_record(2), relay_record(3)]
    with ThreadPoolExecutor(1) as pool, Session(engine) as first, engine.connect() as watch:
        assert Marks().take(first, "billing", batch) == [True, True]
        second = pool.submit(take, engine, [*batch, relay_record(4)])
        until(lambda: watch.execute(ANOTHER_WAITS).first(), what="the second consumer to wait")
        first.commit()
        assert second.result() == [False, False, True]


def test_at_the_first_sight_of_a_partition_too(engine: Engine) -> None:
    batch = [relay_record(1), relay_record(2)]
    with ThreadPoolExecutor(1) as pool, Session(engine) as first, engine.connect() as watch:
        assert Marks().take(first, "billing", batch) == [True, True]
        second = pool.submit(take, engine, batch)
        until(lambda: watch.execute(ANOTHER_WAITS).first(), what="the second consumer to wait")
        first.commit()
        assert second.result() == [False, False]


def test_when_the_first_one_rolls_back_the_second_takes_the_events(engine: Engine) -> None:
    batch = [relay_record(1), relay_record(2)]
    with ThreadPoolExecutor(1) as pool, Session(engine) as first, engine.connect() as watch:
        Marks().take(first, "billing", batch)
        second = pool.submit(take, engine, batch)
        until(lambda: watch.execute(ANOTHER_WAITS).first(), what="the second consumer to wait")
        first.rollback()
        assert second.result() == [True, True]


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("seen_before", [True, False])
def test_where_the_first_ones_commit_is_hidden_the_second_fails_and_takes_nothing(
    engine: Engine, isolation: str, seen_before: bool
) -> None:
    if seen_before:
        take(engine, [relay_record(1)])
    with ThreadPoolExecutor(1) as pool, Session(engine) as first, engine.connect() as watch:
        Marks().take(first, "billing", [relay_record(2)])
        second = pool.submit(take, engine, [relay_record(2)], isolation=isolation)
        until(lambda: watch.execute(ANOTHER_WAITS).first(), what="the second consumer to wait")
        first.commit()
        with pytest.raises(OperationalError, match="could not serialize"):
            second.result()
    assert take(engine, [relay_record(2)]) == [False]


def test_a_zombie_in_the_old_epoch_waits_for_a_consumer_in_the_new_one(engine: Engine) -> None:
    take(engine, [relay_record(1)])
    with ThreadPoolExecutor(1) as pool, Session(engine) as first, engine.connect() as watch:
        under_new = relay_record(1, event=2, epoch=SECOND_EPOCH)
        assert Marks().take(first, "billing", [under_new]) == [True]
        zombie = pool.submit(take, engine, [relay_record(2)])
        until(lambda: watch.execute(ANOTHER_WAITS).first(), what="the zombie to wait")
        first.commit()
        assert zombie.result() == [False]


def test_two_consumers_with_the_same_partitions_in_another_order_do_not_deadlock(
    engine: Engine,
) -> None:
    batch = [relay_record(n, partition=n % 50) for n in range(500)]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda order: take(engine, order), [batch, batch[::-1]]))
    # Reversed, each partition begins with its highest place; those below come late and are new.
    assert sum(map(sum, answers)) == 500


def test_what_repeats_under_a_new_epoch_is_not_new(engine: Engine) -> None:
    take(engine, [relay_record(n) for n in range(10)])
    again = [relay_record(3, event=n, epoch=SECOND_EPOCH) for n in (8, 9)]
    fresh = relay_record(4, event=11, epoch=SECOND_EPOCH)
    assert take(engine, [*again, fresh]) == [False, False, True]


def test_the_memory_does_not_grow_with_the_events(engine: Engine) -> None:
    for start in range(0, 3 * RECENT, RECENT // 2):
        take(engine, [relay_record(n) for n in range(start, start + RECENT // 2)])
    assert column(engine, "select count(*) from inbox.mark") == [1]
    kept = column(engine, "select sum(cardinality(event_ids)) from inbox.recent")
    assert kept == [RECENT]


def test_an_event_too_young_for_its_place_stops_the_consumer(engine: Engine) -> None:
    for start in (0, RECENT):
        take(engine, [relay_record(n) for n in range(start, start + RECENT)])
    with pytest.raises(PlacesWentBack):
        take(engine, [relay_record(5, event=-1, minute=9)])


def test_a_deleted_mark_takes_its_ids_along(engine: Engine) -> None:
    take(engine, [relay_record(1)])
    with engine.begin() as connection:
        connection.execute(text("delete from inbox.mark"))
    assert column(engine, "select count(*) from inbox.recent") == [0]


@pytest.mark.parametrize(("name", "value"), STRANGE)
def test_a_record_that_is_not_of_the_relay_is_refused_by_the_header_that_shows_it(
    engine: Engine, name: str, value: bytes | None
) -> None:
    strange = relay_record(1, headers={name: value})
    with Session(engine) as session, pytest.raises(BadInput, match=f"{name}.*`ids`"):
        Marks().take(session, "billing", [relay_record(0), strange])


@pytest.mark.parametrize("consumer", ["", "x" * 256, "a\0b"])
def test_a_bad_consumer_name_is_refused(engine: Engine, consumer: str) -> None:
    with Session(engine) as session, pytest.raises(BadInput, match="consumer"):
        Marks().take(session, consumer, [relay_record(1)])


def test_fewer_ids_than_a_relay_has_in_flight_are_refused() -> None:
    with pytest.raises(BadInput, match="recent"):
        Marks(recent=RECENT - 1)


def test_in_autocommit_nothing_is_noted_as_its_effect_could_be_lost(engine: Engine) -> None:
    with (
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        Session(connection) as session,
        pytest.raises(NoTransaction),
    ):
        Marks().take(session, "billing", [relay_record(1)])
    assert take(engine, [relay_record(1)]) == [True]
