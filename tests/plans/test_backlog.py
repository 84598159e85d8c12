"""A backlog of a million events in one window: its last page costs what its first did.

Gated on the pages of the database that are looked at, never on time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest

from relay import sql
from relay.core.inputs import Opened
from relay.core.snapshot import Snapshot
from relay.core.window import CHUNK_BITS, Window
from relay.postgres.connect import Connection, connect
from tests.plans.explain import Plan, explain, page_parameters, plan_parameters
from tests.relay.events import emit, fill
from tests.relay.leader import leading, opened
from tests.support.postgres import Postgres

EVENTS = 1_000_000
PAGE_EVENTS = 1 << CHUNK_BITS
IDLE_BUFFERS_MAX = 8 * 3
"""One probe of the index on txid in each leaf: root, inner page, leaf page."""


@dataclass(frozen=True)
class Backlog:
    """A window of EVENTS events, and the connection that looks at it."""

    connection: Connection
    window: Opened
    later: Snapshot  # transactions have ended since the window, and none of them wrote an event

    def page(self, number: int) -> Plan:
        bound = page_parameters(self.window.cursor.window, self.window.pages[number])
        return explain(self.connection, sql.load("window")["window_page"], bound)


@pytest.fixture(scope="module")
def backlog(postgres: Postgres, migrated_template: str) -> Iterator[Backlog]:
    with postgres.database(migrated_template) as name:
        url = postgres.url(name)
        fill(url, EVENTS)
        with leading(url) as store, closing(connect(url, "test")) as connection:
            window = opened(store)
            for _ in range(5):
                connection.execute("select pg_current_xact_id()")
            yield Backlog(connection, window, snapshot(connection))


def snapshot(connection: Connection) -> Snapshot:
    row = connection.execute(sql.load("window")["window_snapshot"]).fetchone()
    assert row is not None
    return Snapshot.parse(str(row[0]))


def test_its_pages_cover_every_event_in_as_few_pages_as_there_can_be(backlog: Backlog) -> None:
    pages = backlog.window.pages
    covered = sum(page.last_position - page.first_position + 1 for page in pages)
    assert covered == EVENTS
    assert len(pages) == EVENTS // PAGE_EVENTS + 1


def test_a_page_looks_at_as_much_at_the_end_as_at_the_start(backlog: Backlog) -> None:
    last = len(backlog.window.pages) - 2  # the last that is full
    costs = {number: backlog.page(number) for number in (1, 2, last // 2, last - 1, last)}
    assert {plan.rows for plan in costs.values()} == {PAGE_EVENTS}
    buffers = [plan.buffers for plan in costs.values()]
    # A page begins and ends anywhere within a block of the table or of the index.
    assert max(buffers) - min(buffers) <= 8, costs
    assert max(buffers) < PAGE_EVENTS / 10


def test_a_look_that_finds_nothing_probes_the_index_and_reads_no_event(backlog: Backlog) -> None:
    bound = plan_parameters(Window(backlog.window.cursor.until, backlog.later))
    found = explain(backlog.connection, sql.load("window")["window_plan"], bound)
    assert found.rows == 0
    assert found.buffers <= IDLE_BUFFERS_MAX


def test_one_new_event_behind_it_is_found_by_reading_that_one(
    postgres: Postgres, backlog: Backlog
) -> None:
    emit(postgres.url(backlog.connection.info.dbname), "topic")
    bound = plan_parameters(Window(backlog.later, snapshot(backlog.connection)))
    found = explain(backlog.connection, sql.load("window")["window_plan"], bound)
    assert found.rows == 1
    assert found.buffers <= IDLE_BUFFERS_MAX + 1
