"""The two worlds that every port is tried in: the fakes of the model, and the real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Protocol

import psycopg
import pytest

from relay.core.lease import LEASE_TTL_S
from relay.core.retention import EVENT_RING
from relay.ports import CursorStore, LeaseStore, PageSource, Rotation, Wakeup
from relay.postgres import parking
from relay.postgres.connect import connect
from relay.postgres.cursor_store import PostgresCursorStore
from relay.postgres.lease_store import PostgresLeaseStore
from relay.postgres.parked_desk import By, Chosen, ParkedDesk
from relay.postgres.rotation import PostgresRotation
from relay.postgres.wakeup import PostgresWakeup, switch_wakeup
from relay.postgres.window_reader import PageReader
from tests.model.fake_parking import RELEASED_MAX
from tests.model.fake_postgres import FakePostgres, Session
from tests.model.fake_rotation import FakeRotation
from tests.model.fake_stores import FakeCursorStore, FakeLeaseStore, FakePageSource, Reading
from tests.model.fake_wakeup import FakeWakeup

BY = By("the contract", "to try it")


class Writer(Protocol):
    """An open transaction of a writer."""

    def emit(self, event_id: str, key: str | None) -> object: ...
    def savepoint(self) -> None: ...
    def rollback_to_savepoint(self) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def prepare(self) -> None: ...


class Sleeper(Wakeup, Protocol):
    """One whose session can end."""

    def close(self) -> None: ...


class World(Protocol):
    """What a case needs of a database; ids are `event_id(n)`."""

    def store(self, owner: str, term: int) -> CursorStore: ...
    def source(self) -> PageSource: ...
    def leases(self) -> LeaseStore: ...
    def rotation(self, owner: str, term: int) -> Rotation: ...
    def wakeup(self) -> Sleeper: ...
    def writers_come_to_leaf(self, leaf: int) -> None: ...
    def time_passes(self, seconds: float) -> None: ...
    def writer(self) -> AbstractContextManager[Writer]: ...
    def commit_prepared(self) -> None: ...
    def lease_expires(self, after_s: float = LEASE_TTL_S) -> None: ...
    def claim_ages(self, seconds: float) -> None: ...
    def blocked(self) -> tuple[str, str] | None: ...
    def retry_all(self) -> None: ...
    def pause(self, topic: str, key: str | None) -> None: ...


class FakeWorld:
    def __init__(self) -> None:
        self._database = FakePostgres()
        self._reading = Reading(chunk_bits=13, page_events_max=1 << 13)

    def store(self, owner: str, term: int) -> CursorStore:
        return FakeCursorStore(Session(self._database), owner, term, self._reading)

    def source(self) -> PageSource:
        return FakePageSource(Session(self._database), self._reading)

    def leases(self) -> LeaseStore:
        return FakeLeaseStore(self._database)

    def rotation(self, owner: str, term: int) -> Rotation:
        return FakeRotation(Session(self._database), owner, term, EVENT_RING)

    def wakeup(self) -> FakeWakeup:
        return FakeWakeup(Session(self._database))

    def writers_come_to_leaf(self, leaf: int) -> None:
        self._database.jump(leaf << EVENT_RING.bits)

    def time_passes(self, seconds: float) -> None:
        self._database.now_s += seconds

    @contextmanager
    def writer(self) -> Iterator[Writer]:
        yield self._database.begin()

    def commit_prepared(self) -> None:
        (xid,) = self._database.prepared
        self._database.end_prepared(xid, commit=True)

    def lease_expires(self, after_s: float = LEASE_TTL_S) -> None:
        self._database.now_s += after_s + 0.001

    def claim_ages(self, seconds: float) -> None:
        self._database.now_s += seconds

    def blocked(self) -> tuple[str, str] | None:
        return self._database.lease.blocked

    def retry_all(self) -> None:
        self._database.operate(self._database.desk.retry(None))

    def pause(self, topic: str, key: str | None) -> None:
        self._database.operate(self._database.desk.pause(key))


class PostgresWriter:
    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def emit(self, event_id: str, key: str | None) -> None:
        self._connection.execute(
            "insert into outbox.event (id, topic, key, type, payload)"
            " values (%s, 't', %s, 't', %s)",
            (event_id, key, event_id.encode()),
        )

    def savepoint(self) -> None:
        self._connection.execute("savepoint s")

    def rollback_to_savepoint(self) -> None:
        self._connection.execute("rollback to s")

    def commit(self) -> None:
        self._connection.commit()

    def prepare(self) -> None:
        self._connection.execute("prepare transaction 'contract'")

    def rollback(self) -> None:
        self._connection.rollback()


class PostgresWorld:
    """Sessions that a case opened end with it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._to_close: list[Sleeper | psycopg.Connection[tuple[object, ...]] | PageReader] = []
        self._leases = PostgresLeaseStore(lambda: url)

    def store(self, owner: str, term: int) -> CursorStore:
        connection = connect(self._url, "contract")
        self._to_close.append(connection)
        return PostgresCursorStore(connection, owner, term)

    def source(self) -> PageSource:
        reader = PageReader(self._url)
        self._to_close.append(reader)
        return reader

    def leases(self) -> LeaseStore:
        return self._leases

    def rotation(self, owner: str, term: int) -> Rotation:
        connection = connect(self._url, "contract")
        self._to_close.append(connection)
        return PostgresRotation(connection, owner, term)

    def wakeup(self) -> PostgresWakeup:
        switch_wakeup(self._url, on=True)
        sleeper = PostgresWakeup(self._url)
        self._to_close.append(sleeper)
        return sleeper

    def writers_come_to_leaf(self, leaf: int) -> None:
        """Nothing counts positions: a million of them is passed over at once."""
        with psycopg.connect(self._url) as connection:
            first = leaf << EVENT_RING.bits
            connection.execute("select setval('outbox.event_position', %s)", (first,))

    def time_passes(self, seconds: float) -> None:
        """The rows say when; nobody has to wait for it."""
        with psycopg.connect(self._url) as connection:
            connection.execute(
                "update outbox.milestone"
                " set published_at = published_at - make_interval(secs => %s)",
                (seconds,),
            )

    @contextmanager
    def writer(self) -> Iterator[PostgresWriter]:
        with closing(psycopg.connect(self._url)) as connection:
            yield PostgresWriter(connection)

    def commit_prepared(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("commit prepared 'contract'")

    def lease_expires(self, after_s: float = LEASE_TTL_S) -> None:
        """The row says until when; nobody has to wait for it."""
        self._age("expires_at", after_s)

    def claim_ages(self, seconds: float) -> None:
        self._age("claimed_at", seconds)

    def _age(self, column: str, seconds: float) -> None:
        with psycopg.connect(self._url) as connection:
            connection.execute(
                f"update outbox.lease set {column} = {column} - make_interval(secs => %s)",
                (seconds,),
            )

    def blocked(self) -> tuple[str, str] | None:
        with psycopg.connect(self._url) as connection:
            row = connection.execute(
                "select blocked_event::text, blocked_reason from outbox.lease"
            ).fetchone()
        return None if row is None or row[0] is None else (row[0], row[1])

    def retry_all(self) -> None:
        with closing(connect(self._url, "contract")) as connection:
            ParkedDesk(connection).retry(Chosen(), BY)

    def pause(self, topic: str, key: str | None) -> None:
        with closing(connect(self._url, "contract")) as connection:
            ParkedDesk(connection).pause(topic, key, BY)

    def close(self) -> None:
        self._leases.close()
        for one in self._to_close:
            one.close()


@pytest.fixture(params=["fake", "postgresql"])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A fresh database with an empty outbox and a lease that nobody holds."""
    if request.param == "fake":
        yield FakeWorld()
    else:
        # As few as in the fake, so that a release takes several windows.
        monkeypatch.setattr(parking, "RELEASED_MAX", RELEASED_MAX)
        with closing(PostgresWorld(request.getfixturevalue("database_url"))) as real:
            yield real
