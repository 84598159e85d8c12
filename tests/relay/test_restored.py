"""An outbox that goes on in another cluster publishes exactly what had not been published."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from sqlalchemy import Engine

from coordinator import Coordinator, OutboxEvent, Transaction
from relay.admin import migrate
from relay.core.inputs import Loaded, Opened, event_id
from relay.errors import UnsafeDatabase
from relay.postgres.cluster import Epoch, enter_epoch
from relay.postgres.connect import connect
from relay.postgres.cursor_store import PostgresCursorStore
from relay.postgres.window_reader import PageReader
from tests.coordinator.database import engine_on
from tests.relay.events import connected, emit, value_of
from tests.relay.leader import closed, leading, opened
from tests.support.clusters import (
    DUMPED_BY,
    dump,
    old_binaries,
    program,
    read_in,
    upgrade,
    use_up_ids,
)
from tests.support.postgres import SERVER_OPTIONS, CrashablePostgres

MakePostgres = Callable[..., CrashablePostgres]


@pytest.fixture
def source(own_postgres: MakePostgres) -> CrashablePostgres:
    """A cluster in which a relay has led."""
    server = own_postgres()
    migrate.upgrade(server.url())
    enter(server.url())
    return server


@pytest.fixture(params=["ids behind", "ids ahead"])
def target(
    request: pytest.FixtureRequest, source: CrashablePostgres, own_postgres: MakePostgres
) -> CrashablePostgres:
    """An empty cluster that has given out fewer transaction ids than the source, or more."""
    server = own_postgres()
    ahead, behind = (server, source) if request.param == "ids ahead" else (source, server)
    use_up_ids(ahead.url(), beyond=behind.url())
    return server


def enter(url: str) -> Epoch:
    with closing(connect(url, "test")) as connection:
        return enter_epoch(connection)


def moved(source_url: str, target: CrashablePostgres, how: str = "custom") -> None:
    read_in(target, dump(source_url, target, how))


def rows_of(url: str, found: Loaded | Opened) -> list[str]:
    with closing(PageReader(url)) as reader:
        window = found.cursor.window
        return [event_id(row) for page in found.pages for row in reader.read(window, page)]


def published(url: str, store: PostgresCursorStore) -> Iterator[list[str]]:
    """Publish what is pending, a window at a time: the ids of each."""
    loaded = store.load()
    if loaded.pages:
        yield rows_of(url, loaded)
    cursor = loaded.cursor
    while isinstance(found := store.open_next(cursor), Opened):
        yield rows_of(url, found)
        cursor = found.cursor
    if not cursor.closed:
        store.save(cursor.finished(), unblocks=False)


def drained(url: str) -> list[str]:
    """What a relay that begins to lead now publishes."""
    enter(url)
    with leading(url) as store:
        return [one for window in published(url, store) for one in window]


@pytest.mark.parametrize("how", DUMPED_BY)
def test_what_the_old_cursor_had_not_covered_comes_first_and_all_else_behind_it(
    source: CrashablePostgres, target: CrashablePostgres, how: str
) -> None:
    emit(source.url(), "t", count=3)
    with leading(source.url()) as store:
        closed(store)
    pending = [*emit(source.url(), "t", count=2), *emit(source.url(), "t")]
    moved(source.url(), target, how)
    written_here = [*emit(target.url(), "t"), *emit(target.url(), "t", count=2)]

    assert drained(target.url()) == pending + written_here
    assert drained(target.url()) == []


def test_a_window_that_was_open_is_finished_from_where_it_was(
    source: CrashablePostgres, target: CrashablePostgres
) -> None:
    sent, unsent = emit(source.url(), "t"), emit(source.url(), "t", count=2)
    with leading(source.url()) as store:
        found = opened(store)
        store.save(found.cursor.advanced(found.pages[0].first_position), unblocks=False)
    later = emit(source.url(), "t")
    moved(source.url(), target)
    here = emit(target.url(), "t")

    assert sent not in (unsent, later)
    assert drained(target.url()) == unsent + later + here


def test_a_transaction_that_was_open_at_the_dump_is_in_none_of_it(
    source: CrashablePostgres, target: CrashablePostgres
) -> None:
    with connected(source.url()) as slow, slow.transaction():
        slow.execute("select outbox.emit('t', 'slow', 'thing.happened', '')")
        pending = emit(source.url(), "t")
        moved(source.url(), target)

    assert drained(target.url()) == pending


def test_a_writer_that_is_slower_than_the_relay_is_missed_by_no_window(
    source: CrashablePostgres, target: CrashablePostgres
) -> None:
    """It has a lower position than what others have written here, and published, before it."""
    pending = emit(source.url(), "t")
    moved(source.url(), target)
    with connected(target.url()) as slow, slow.transaction():
        late = str(slow.execute("select outbox.emit('t', 's', 'x.y', '')::text").fetchall()[0][0])
        here = emit(target.url(), "t")
        assert drained(target.url()) == pending + here

    assert drained(target.url()) == [late]


def test_ids_that_the_new_cluster_comes_to_later_bring_nothing_back(
    source: CrashablePostgres, own_postgres: MakePostgres
) -> None:
    emit(source.url(), "t", count=5)
    with leading(source.url()) as store:
        closed(store)
    use_up_ids(source.url(), beyond=source.url())
    pending = emit(source.url(), "t")
    target = own_postgres()
    moved(source.url(), target)
    assert drained(target.url()) == pending
    use_up_ids(target.url(), beyond=source.url())
    here = emit(target.url(), "t")

    assert drained(target.url()) == here


def test_restored_and_written_to_and_restored_again_with_no_relay_between(
    source: CrashablePostgres, own_postgres: MakePostgres
) -> None:
    between, last = own_postgres(), own_postgres()
    emit(source.url(), "t", count=3)
    with leading(source.url()) as store:
        closed(store)
    moved(source.url(), between)
    there = [one for _ in range(5) for one in emit(between.url(), "t")]
    moved(between.url(), last)
    here = emit(last.url(), "t")

    assert drained(last.url()) == there + here


def test_restored_a_second_time_while_much_of_the_first_dump_is_pending(
    source: CrashablePostgres, own_postgres: MakePostgres
) -> None:
    between, last = own_postgres(), own_postgres()
    first = emit(source.url(), "t", count=2)
    moved(source.url(), between)
    enter(between.url())
    second = emit(between.url(), "t")
    moved(between.url(), last)
    third = emit(last.url(), "t")

    assert drained(last.url()) == first + second + third


def test_rows_alone_are_restored_into_a_schema_that_was_migrated(
    source: CrashablePostgres, own_postgres: MakePostgres
) -> None:
    emit(source.url(), "t", count=2)
    with leading(source.url()) as store:
        closed(store)
    pending = emit(source.url(), "t")
    target = own_postgres()
    migrate.upgrade(target.url())
    with connected(target.url()) as owner:
        owner.execute(
            "truncate outbox.window, outbox.lease, inbox.generation, public.outbox_alembic_version"
        )
    read_in(target, dump(source.url(), target, "custom", "--data-only"))
    here = emit(target.url(), "t")

    assert drained(target.url()) == pending + here


def test_a_dump_that_was_restored_beside_the_original_has_places_of_its_own(
    source: CrashablePostgres,
) -> None:
    emit(source.url(), "t")
    with leading(source.url()) as store:
        closed(store)
    pending = emit(source.url(), "t")
    with connected(source.url()) as owner:
        owner.execute("create database beside")
    beside = source.url("beside")
    path = dump(source.url(), source)
    program(source, "pg_restore", "--exit-on-error", f"--dbname={beside}", path)

    before = enter(source.url())
    assert enter(beside).id != before.id
    assert drained(beside) == pending


def test_without_the_state_of_the_sequence_nothing_is_published(
    source: CrashablePostgres, target: CrashablePostgres
) -> None:
    emit(source.url(), "t", count=3)
    moved(source.url(), target)
    with connected(target.url()) as owner:
        owner.execute("select setval('outbox.event_position', 1)")

    with pytest.raises(UnsafeDatabase, match=r"setval\('outbox.event_position', 3\)"):
        enter(target.url())


def publish(tx: Transaction) -> None:
    tx.emit(OutboxEvent.json(topic="t", key="k", type="thing.happened", data={}))


def is_published(engine: Engine, key: str) -> bool:
    return Coordinator(engine).run(publish, key=(key,)).wait_published(0)


def test_wait_published_tells_of_what_came_with_the_dump_and_of_what_was_written_here(
    source: CrashablePostgres, target: CrashablePostgres
) -> None:
    with engine_on(source.url()) as engine:
        is_published(engine, "before")
        with leading(source.url()) as store:
            closed(store)
        is_published(engine, "pending")
    moved(source.url(), target)
    with engine_on(target.url()) as engine:
        keys = ("before", "pending", "here")
        unknown = [is_published(engine, key) for key in keys]
        enter(target.url())
        entered = [is_published(engine, key) for key in keys]
        drained(target.url())
        after = [is_published(engine, key) for key in keys]
        for n in range(8):
            owner_empties(target.url(), n)
        emptied = [is_published(engine, key) for key in keys]

    assert unknown == [False, False, False], "nobody can know before a relay has led here"
    assert entered == [True, False, False]
    assert after == emptied == [True, True, True]


def owner_empties(url: str, leaf: int) -> None:
    with connected(url) as owner:
        owner.execute(f"truncate outbox.event_{leaf}".encode())


def test_after_pg_upgrade_the_cursor_is_where_it_was(own_postgres: MakePostgres) -> None:
    if (binaries := old_binaries()) is None:
        pytest.skip("needs the programs of an older PostgreSQL")
    new = CrashablePostgres(SERVER_OPTIONS)
    with CrashablePostgres(SERVER_OPTIONS, binaries) as old, closing(new):
        migrate.upgrade(old.url())
        enter(old.url())
        emit(old.url(), "t", count=3)
        with leading(old.url()) as store:
            closed(store)
        pending = emit(old.url(), "t", count=2)
        before = value_of(old.url(), "select id::text from outbox.epoch")
        old.stop("fast")
        upgrade(old, new)
        new.start()
        here = emit(new.url(), "t")

        assert drained(new.url()) == pending + here
        assert enter(new.url()).id != before
