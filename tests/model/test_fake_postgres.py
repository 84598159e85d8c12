"""The fake database does what PostgreSQL does; a model on a wrong fake would prove nothing."""

from __future__ import annotations

import pytest

from relay.errors import Unreachable
from tests.model.fake_postgres import FIRST_XID, FakePostgres, Session


@pytest.fixture
def database() -> FakePostgres:
    return FakePostgres()


def ids(database: FakePostgres) -> list[str]:
    return [event.event_id for event in database.committed]


def test_an_id_is_handed_out_at_the_first_write(database: FakePostgres) -> None:
    reader, writer = database.begin(), database.begin()
    writer.touch()

    assert (reader.xid, writer.xid) == (None, FIRST_XID)


def test_a_snapshot_lists_what_is_in_progress_below_the_newest_that_ended(
    database: FakePostgres,
) -> None:
    first, second, third = (database.begin() for _ in range(3))
    for transaction in (first, second, third):
        transaction.touch()
    second.commit()

    assert str(database.snapshot()) == "3:5:3"


def test_one_that_waits_for_a_keys_lock_has_its_id_already(database: FakePostgres) -> None:
    waits, holds = database.begin(), database.begin()
    waits.touch()
    holds.emit("e0", "k")

    assert not waits.emit("e1", "k")
    holds.commit()
    assert waits.emit("e1", "k")
    assert (waits.xid, holds.xid) == (3, 4)


def test_what_a_savepoint_wrote_goes_with_its_rollback(database: FakePostgres) -> None:
    transaction = database.begin()
    transaction.emit("e0", None)
    transaction.savepoint()
    transaction.emit("e1", None)
    transaction.rollback_to_savepoint()
    transaction.emit("e2", None)
    transaction.commit()

    assert ids(database) == ["e0", "e2"]


def test_an_asynchronous_commit_is_visible_before_a_crash_and_gone_after_it(
    database: FakePostgres,
) -> None:
    transaction = database.begin()
    transaction.emit("e0", None)
    transaction.commit(synchronous=False)

    assert ids(database) == ["e0"]
    assert database.snapshot().sees(FIRST_XID)
    database.crash()
    assert ids(database) == []


def test_a_synchronous_commit_makes_those_before_it_durable(database: FakePostgres) -> None:
    first, second = database.begin(), database.begin()
    first.emit("e0", None)
    first.commit(synchronous=False)
    second.touch()
    second.commit()
    database.crash()

    assert ids(database) == ["e0"]


def test_an_id_that_was_not_flushed_is_handed_out_again_after_a_crash(
    database: FakePostgres,
) -> None:
    before = database.begin()
    before.touch()
    before.rollback()
    seen = database.snapshot().sees(FIRST_XID)
    database.crash()

    assert seen
    assert database.begin().touch() == FIRST_XID


def test_an_id_that_was_flushed_is_not_handed_out_again(database: FakePostgres) -> None:
    database.begin().touch()
    database.flush()
    database.crash()

    assert database.begin().touch() == FIRST_XID + 1
    assert str(database.snapshot()) == "4:4:"


def test_a_prepared_transaction_outlives_a_crash_with_its_locks(database: FakePostgres) -> None:
    transaction = database.begin()
    transaction.emit("e0", "k")
    transaction.prepare()
    database.crash()

    assert not database.begin().emit("e1", "k")
    database.end_prepared(FIRST_XID, commit=True)
    assert ids(database) == ["e0"]


def test_a_session_ends_with_the_server_it_was_made_to(database: FakePostgres) -> None:
    session = Session(database)
    database.crash()

    with pytest.raises(Unreachable):
        _ = session.database
