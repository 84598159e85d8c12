"""A release goes by what is there, not by how many events it could carry: one may be discarded at
that very moment."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from relay.core.inputs import Opened
from relay.core.parking import Parked
from relay.postgres import parking
from relay.postgres.connect import connect
from relay.postgres.parked_desk import By, Chosen, ParkedDesk
from relay.postgres.window_reader import PageReader
from tests.relay.events import connected, emit, value_of
from tests.relay.leader import leading, opened
from tests.support.wait import until

CARRIED = 3
WAITING = """select count(*) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'"""


def test_a_discard_while_a_window_releases_leaves_no_key_without_its_hold(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The window then carries one event less than it could, and that does not mean that it has
    them all."""
    monkeypatch.setattr(parking, "RELEASED_MAX", CARRIED)
    (keyless,) = emit(database_url, "t", key=None)
    emit(database_url, "t", key="a", count=CARRIED + 1)
    with leading(database_url) as leader, connected(database_url) as operator:
        found = opened(leader)
        with closing(PageReader(database_url)) as reader:
            rows = list(reader.read(found.cursor.window, found.pages[0]))
        aside = (Parked(rows[0], "no"), Parked(rows[1], "no", ("t", "a")), *map(Parked, rows[2:]))
        cursor = leader.save(
            found.cursor.advanced(rows[-1][0]), unblocks=False, parked=aside
        ).cursor
        with closing(connect(database_url, "desk")) as desk:
            ParkedDesk(desk).retry(Chosen(topic="t"), By("a test", "to try it"))
        released: list[object] = []
        with operator.transaction():
            operator.execute("delete from outbox.parked where id = %s", [keyless])
            thread = threading.Thread(target=lambda: released.append(leader.open_next(cursor)))
            thread.start()
            until(lambda: value_of(database_url, WAITING), what="the leader waits for the discard")
        thread.join()

    assert isinstance(released[0], Opened)
    assert value_of(database_url, "select count(*) from outbox.parked where release_window is null")
    assert value_of(database_url, "select count(*) from outbox.hold where key = 'a'") == 1
