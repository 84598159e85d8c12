"""What a crash of the database may not take back, where commits do not wait for their flush.

The server's own default is `synchronous_commit=off` here, and its log is written seldom: what the
relay does not wait for is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Protocol

import psycopg
import pytest

from relay.admin import migrate
from relay.core.inputs import NothingAhead
from tests.contract.conftest import FakeWorld, PostgresWorld, World, Writer
from tests.contract.outbox import event_id, leading, numbers_of, opened, read, write
from tests.model.fake_postgres import Transaction
from tests.support.postgres import CrashablePostgres

SELDOM = {"synchronous_commit": "off", "wal_writer_delay": "10s", "wal_writer_flush_after": "0"}


class Crashable(World, Protocol):
    """A world that commits without waiting for the flush, and can be crashed before it comes."""

    def crash(self) -> None: ...


class CrashableFake(FakeWorld):
    @contextmanager
    def writer(self) -> Iterator[Writer]:
        yield NotWaiting(self._database.begin())

    def crash(self) -> None:
        self._database.crash()


class NotWaiting:
    """A writer on a server whose own default is not to wait."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.emit = transaction.emit
        self.savepoint = transaction.savepoint
        self.rollback_to_savepoint = transaction.rollback_to_savepoint
        self.rollback = transaction.rollback
        self.prepare = transaction.prepare

    def commit(self) -> None:
        self._transaction.commit(synchronous=False)


class CrashablePostgresWorld(PostgresWorld):
    def __init__(self, server: CrashablePostgres) -> None:
        super().__init__(server.url())
        self._server = server

    def crash(self) -> None:
        self._leases.close()
        self._server.stop_immediate()
        self._server.start()


@pytest.fixture(params=["fake", "postgresql"])
def world(request: pytest.FixtureRequest) -> Iterator[Crashable]:
    if request.param == "fake":
        yield CrashableFake()
        return
    own_postgres: Callable[..., CrashablePostgres] = request.getfixturevalue("own_postgres")
    server = own_postgres(**SELDOM)
    migrate.upgrade(server.url())
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("checkpoint")
    with closing(CrashablePostgresWorld(server)) as crashable:
        yield crashable


def test_here_a_commit_that_nobody_waited_for_is_gone_after_a_crash(world: Crashable) -> None:
    leading(world)
    write(world, 1)
    world.crash()
    store = world.store("a", 1)

    assert store.open_next(store.load().cursor) == NothingAhead()


def test_an_opened_window_and_its_events_are_still_there_after_a_crash(
    world: Crashable,
) -> None:
    write(world, 1, 2)
    window = opened(leading(world))
    world.crash()
    again = world.store("a", 1).load()

    assert again.cursor == window.cursor
    assert numbers_of(read(world, again)) == [1, 2]


def test_a_stored_position_is_still_there_after_a_crash(world: Crashable) -> None:
    write(world, 1, 2)
    store = leading(world)
    saved = store.save(opened(store).cursor.finished(), unblocks=False)
    world.crash()

    assert world.store("a", 1).load().cursor == saved.cursor


def test_a_term_that_was_granted_is_not_granted_again_after_a_crash(world: Crashable) -> None:
    world.leases().acquire("a")
    world.crash()
    world.lease_expires()

    assert world.leases().acquire("b") == 2


def test_a_released_lease_does_not_come_back_with_a_crash(world: Crashable) -> None:
    world.leases().acquire("a")
    world.leases().release("a")
    world.crash()

    assert world.leases().acquire("b") == 2


def test_ids_given_out_again_after_a_crash_are_not_taken_for_seen(world: Crashable) -> None:
    store = leading(world)
    with world.writer() as spent:
        spent.emit("00000000-0000-4000-8000-000000000009", "k")
        spent.rollback()
    assert store.open_next(store.load().cursor) == NothingAhead()
    world.crash()
    write(world, 1)

    assert numbers_of(read(world, opened(world.store("a", 1)))) == [1]


def test_a_prepared_transaction_outlives_a_crash_and_comes_with_its_commit(
    world: Crashable,
) -> None:
    with world.writer() as writer:
        writer.emit(event_id(1), "k")
        writer.prepare()
    world.crash()
    store = leading(world)
    assert store.open_next(store.load().cursor) == NothingAhead()

    world.commit_prepared()
    assert numbers_of(read(world, opened(store))) == [1]
