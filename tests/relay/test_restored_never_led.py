"""A dump of an outbox in which no relay had led yet: neither note nor log says whose ids it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from relay.admin import migrate
from tests.relay.events import connected, emit, value_of
from tests.relay.test_restored import drained, moved
from tests.support.clusters import use_up_ids
from tests.support.postgres import CrashablePostgres

MakePostgres = Callable[..., CrashablePostgres]
EVENTS = 20


@pytest.fixture
def source(own_postgres: MakePostgres) -> CrashablePostgres:
    server = own_postgres()
    migrate.upgrade(server.url())
    return server


@pytest.fixture
def target(source: CrashablePostgres, own_postgres: MakePostgres) -> CrashablePostgres:
    server = own_postgres()
    use_up_ids(source.url(), beyond=server.url())
    return server


@contextmanager
def in_progress(url: str, txid: int) -> Iterator[None]:
    """A transaction of this id is open, and later ones have ended."""
    with connected(url) as connection:
        connection.execute("set synchronous_commit = off")
        connection.execute(
            f"do $$ begin while pg_current_xact_id()::text::bigint < {txid - EVENTS} loop"
            " commit; end loop; end $$".encode()
        )
    with ExitStack() as stack:
        found = 0
        while found <= txid:
            connection = stack.enter_context(connected(url))
            connection.execute("begin")
            row = connection.execute("select pg_current_xact_id()::text::bigint").fetchone()
            found = row[0] if row else 0
            if found != txid:
                connection.execute("commit")
        yield


@pytest.mark.parametrize("at_once", [0, 150])
def test_an_event_whose_id_is_that_of_an_open_transaction_here_is_not_kept_waiting(
    source: CrashablePostgres, target: CrashablePostgres, at_once: int
) -> None:
    """By the ids alone it is of a transaction in progress, and one of its key behind it is not.

    `at_once`: so many events come before it, of one transaction."""
    written = emit(source.url(), "t", count=at_once)
    written += [emit(source.url(), "t")[0] for _ in range(EVENTS)]
    single = f"select min(txid::text::bigint) from outbox.event where position > {at_once}"
    first = value_of(source.url(), single)
    moved(source.url(), target)
    with in_progress(target.url(), first + 2):
        use_up_ids(target.url(), beyond=source.url())
        here = emit(target.url(), "t")
        assert drained(target.url()) == written + here


def test_savepoints_are_no_sign_of_a_restore(source: CrashablePostgres) -> None:
    """They give rows another xmin than the transaction's id, and one may still be open."""
    with connected(source.url()) as late, connected(source.url()) as writer:
        late.execute("begin")
        row = late.execute("select outbox.emit('t', 'k', 'x', '')::text").fetchone()
        for _ in range(3):
            with writer.transaction():
                writer.execute("select outbox.emit('t', 'k', 'x', '')")
                with writer.transaction():
                    writer.execute("select outbox.emit('t', 'k', 'x', '')")
        assert len(drained(source.url())) == 6
        late.execute("commit")
    assert row is not None
    assert drained(source.url()) == [row[0]]
    assert value_of(source.url(), "select max(numbering) from outbox.epoch") == 0
