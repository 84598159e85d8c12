"""Writers under load: transactions of many shapes, each event of which is in a ledger.

Every writer has a thread and a connection of its own. It takes the row of a key before it writes an
event of it and keeps it to the commit, which is what order per key asks of users; everything else
is made as awkward as it can be: ids of transactions are drawn before the row, snapshots are old,
commits late, and some parts are taken back.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Literal

import psycopg
import pytest
from psycopg.types.json import Jsonb

from relay.core.checker import Outcome
from tests.support.history import Ledger, Written

KEYS = tuple(f"key-{number}" for number in range(24))

_LOST_CONNECTION_PAUSE_S = 0.1
_INSERT = """insert into outbox.event (id, topic, key, type, payload, headers)
             values (%s, %s, %s, %s, %s, %s)"""
_COPY = "copy outbox.event (id, topic, key, type, payload, headers) from stdin"

Isolation = Literal["read committed", "repeatable read", "serializable"]


@dataclass(frozen=True)
class Shape:
    """How a transaction is made.

    `pause_s` is the longest of its pauses, before the key's row is asked for and before the end.
    `keyless`: one event more, without a key.
    """

    isolation: Isolation = "read committed"
    savepoint: Literal["", "released", "rolled back"] = ""
    commits: bool = True
    prepared: bool = False
    pause_s: float = 0.0
    keyless: bool = False


PLAIN = (
    Shape(pause_s=0.02),
    Shape(pause_s=0.02, keyless=True),
    Shape(pause_s=0.05),
    Shape(pause_s=0.02, commits=False),
    Shape(pause_s=0.02, savepoint="rolled back"),
)
"""What services do all day. The pauses leave the processors to the relay."""

AWKWARD = (
    Shape(pause_s=0.03, keyless=True),
    Shape(pause_s=0.1),
    Shape(pause_s=0.02, commits=False),
    Shape(pause_s=0.02, savepoint="released"),
    Shape(pause_s=0.02, savepoint="rolled back"),
    Shape(pause_s=0.2, isolation="repeatable read"),
    Shape(pause_s=0.02, isolation="repeatable read", savepoint="rolled back"),
    Shape(pause_s=0.05, isolation="serializable"),
    Shape(pause_s=0.05, prepared=True),
    Shape(pause_s=0.02, prepared=True, commits=False),
)
"""Everything that puts commit order at odds with the order of ids."""


class Writer:
    """One writer on one connection, made anew when it is lost.

    Args:
        durable: whether a reply to COMMIT means that the commit is on disk. With False the
            database's own word after the test decides (`synchronous_commit=off`).
    """

    def __init__(
        self, name: str, url: str, ledger: Ledger, seed: int = 0, *, durable: bool = True
    ) -> None:
        self.name = name
        self._url = url
        self._ledger = ledger
        self._dice = Random(f"{name}/{seed}")
        self._done = Outcome.COMMITTED if durable else Outcome.UNKNOWN
        self._durable = durable
        self._connection = self._connect()

    def close(self) -> None:
        """Give the connection back; an open transaction is rolled back by the server."""
        self._connection.close()

    def transaction(self, shape: Shape, events: int = 3) -> None:
        """Write up to so many events, of one or two keys. Raises psycopg.Error as it comes."""
        keys = sorted(self._dice.sample(KEYS, self._dice.choice((1, 1, 2))))
        self.begin(shape.isolation)
        self._pause(shape)
        self.lock(keys)
        written = [self.emit(self._dice.choice(keys)) for _ in range(self._dice.randint(1, events))]
        if shape.savepoint:
            written += self._part(keys, released=shape.savepoint == "released")
        if shape.keyless:
            written.append(self.emit(None))
        self._pause(shape)
        self.end(written, commits=shape.commits, prepared=shape.prepared)

    def begin(self, isolation: Isolation = "read committed") -> None:
        """Open a transaction, take its snapshot if it keeps one, and draw its id."""
        self.run(f"begin isolation level {isolation}")
        self.run("select pg_current_xact_id()")

    def lock(self, keys: Sequence[str]) -> None:
        """Take the row of each key. In order, so that two writers cannot wait for each other."""
        for key in keys:
            self.run("select from public.aggregate where key = %s for no key update", key)

    def emit(self, key: str | None) -> Written:
        """Write one event; the key's row is taken."""
        tombstone = key is not None and not self._dice.randrange(16)
        one = self._ledger.write_down(self.name, key, self._id(), tombstone=tombstone)
        self._connection.execute(_INSERT, _columns(one))
        return one

    def end(
        self, written: Sequence[Written], *, commits: bool = True, prepared: bool = False
    ) -> None:
        """Commit or roll back, in two phases if `prepared`, and note what came of it."""
        end = "commit" if commits else "rollback"
        if prepared:
            gid = f"{self.name}-{self._id()}"
            self.run(f"prepare transaction '{gid}'")
            self.run(f"select pg_sleep({self._dice.uniform(0, 0.05)})")
            end = f"{end} prepared '{gid}'"
        if commits:
            self.commit(written, end)
        else:
            self.run(end)

    def commit(self, written: Sequence[Written], statement: str = "commit") -> None:
        """Commit, and note what came of it."""
        for one in written:
            one.outcome = Outcome.UNKNOWN
        try:
            self.run(statement)
        except psycopg.Error:
            if not self._connection.closed:
                for one in written:
                    one.outcome = Outcome.ROLLED_BACK  # the server said so
            raise
        for one in written:
            one.outcome = self._done

    def emit_many(self, keys: Sequence[str], events: int) -> list[Written]:
        """Write so many events, the keys in turn; their rows are taken."""
        written = []
        with self._connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            for number in range(events):
                key = keys[number % len(keys)]
                written.append(self._ledger.write_down(self.name, key, self._id()))
                copy.write_row(_columns(written[-1]))
        return written

    def backlog(self, events: int, keys: Sequence[str] = KEYS) -> None:
        """Commit so many events at once."""
        self.begin()
        self.lock(keys)
        self.commit(self.emit_many(keys, events))

    def run(self, statement: str, *values: object) -> None:
        """Execute a statement in the transaction that `begin` opened."""
        self._connection.execute(statement, values or None)

    def reconnect(self) -> bool:
        """Drop the connection and make a new one; False while the database is away."""
        self._connection.close()
        try:
            self._connection = self._connect()
        except psycopg.OperationalError:
            return False
        return True

    def clear_failure(self) -> bool:
        """End a transaction that failed; False when the connection is lost."""
        try:
            self.run("rollback")
        except psycopg.Error:
            return False
        return True

    def _part(self, keys: Sequence[str], *, released: bool) -> list[Written]:
        self.run("savepoint part")
        written = [self.emit(self._dice.choice(keys)) for _ in range(2)]
        self.run("release savepoint part" if released else "rollback to savepoint part")
        return written if released else []

    def _pause(self, shape: Shape) -> None:
        if shape.pause_s:
            self.run("select pg_sleep(%s)", self._dice.uniform(0, shape.pause_s))

    def _id(self) -> str:
        return str(uuid.UUID(int=self._dice.getrandbits(128), version=4))

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        connection = psycopg.connect(self._url, autocommit=True, application_name=self.name)
        if not self._durable:
            connection.execute("set synchronous_commit = off")
        return connection


class _Thread:
    """A writer that goes on until it is stopped, through any loss of its connection."""

    def __init__(self, writer: Writer, shapes: Sequence[Shape], ledger: Ledger, seed: int) -> None:
        self._writer = writer
        self._shapes = shapes
        self._ledger = ledger
        self._dice = Random(f"shape/{writer.name}/{seed}")
        self._stopping = threading.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=writer.name)
        self._thread.start()

    def ask_to_stop(self) -> None:
        self._stopping.set()

    def join(self) -> BaseException | None:
        """Wait for its end; what went wrong, if that was not a lost connection."""
        self._thread.join()
        self._writer.close()
        return self._fault

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._write_once()
        except BaseException as fault:  # noqa: BLE001 - raised again where the test can see it
            self._fault = fault

    def _write_once(self) -> None:
        try:
            self._writer.transaction(self._dice.choice(self._shapes))
        except psycopg.OperationalError:
            self._recover()
        self._ledger.transaction_ended()

    def _recover(self) -> None:
        if self._writer.clear_failure():
            return
        while not self._stopping.is_set() and not self._writer.reconnect():
            self._stopping.wait(_LOST_CONNECTION_PAUSE_S)


def prepare_keys(url: str) -> None:
    """Make the rows that writers take as the keys' locks."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table public.aggregate (key text primary key)")
        connection.execute("insert into public.aggregate select unnest(%s::text[])", [list(KEYS)])


@pytest.fixture
def outbox_url(database_url: str) -> str:
    """A fresh database with the whole schema, and the rows that writers take."""
    prepare_keys(database_url)
    return database_url


@pytest.fixture
def ledger(topic: str) -> Ledger:
    """Of events on a fresh topic of `broker`."""
    return Ledger(topic)


@contextmanager
def writing(
    url: str,
    ledger: Ledger,
    *,
    writers: int = 6,
    shapes: Sequence[Shape] = PLAIN,
    durable: bool = True,
    seed: int = 1,
) -> Iterator[None]:
    """Writers that go on until the end of the block, and have then ended what they began."""
    names = [f"w{number}{'' if durable else '-async'}" for number in range(writers)]
    made = [Writer(name, url, ledger, seed, durable=durable) for name in names]
    threads = [_Thread(writer, shapes, ledger, seed) for writer in made]
    try:
        yield
    finally:
        for thread in threads:
            thread.ask_to_stop()
        faults = [fault for thread in threads if (fault := thread.join()) is not None]
    if faults:
        raise faults[0]


def _columns(one: Written) -> tuple[object, ...]:
    return one.event_id, one.topic, one.key, one.type, one.payload, Jsonb(dict(one.headers))
