"""Every statement of relay/sql, planned on a ring of several leaves, with statistics and without:
by its index, and never by reading a table of events from end to end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

import pytest

from relay import sql
from relay.core.inputs import Opened
from relay.core.window import Window
from relay.postgres.connect import Connection, connect, pinned_transaction
from relay.postgres.window_reader import plan
from tests.plans.explain import Parameters, Plan, explain, page_parameters, plan_parameters
from tests.relay.events import connected, fill
from tests.relay.leader import closed, leading, opened
from tests.support.postgres import Postgres
from tests.support.relay_statements import BOUND, statements

LEAF = 1 << 20
# Over the edge of leaf 0 and into leaf 1, then far ahead, and round the ring into leaf 0 again.
STARTS = (LEAF - 5_000, 3 * LEAF, 5 * LEAF + 7, 8 * LEAF)
POPULATED = (0, 1, 3, 5)
EVENTS_PUBLISHED_EACH = 20_000
EVENTS_PENDING = 10_000


@dataclass(frozen=True)
class Ring:
    """A populated database, and the window that its leader has open."""

    connection: Connection
    window: Opened


@pytest.fixture(scope="module", params=["without_statistics", "analyzed"])
def ring(
    request: pytest.FixtureRequest, postgres: Postgres, migrated_template: str
) -> Iterator[Ring]:
    """Events in four leaves, most of them published, in several transactions."""
    with postgres.database(migrated_template) as name:
        url = postgres.url(name)
        with leading(url) as store, closing(connect(url, "test")) as connection:
            for start in STARTS:
                _move_sequence(url, start)
                fill(url, EVENTS_PUBLISHED_EACH)
            closed(store)
            fill(url, EVENTS_PENDING)
            if request.param == "analyzed":
                connection.execute("analyze")
            yield Ring(connection, opened(store))


def _move_sequence(url: str, position: int) -> None:
    with connected(url) as connection:
        connection.execute("select setval('outbox.event_position', %s)", (position,))


def parameters(ring: Ring) -> Mapping[str, Parameters]:
    """As any, but where the plan depends on where the window lies."""
    window = ring.window.cursor.window
    in_window = plan_parameters(window)
    page = page_parameters(window, ring.window.pages[0])
    rows = {"positions": [1, LEAF], "reasons": ["r", "r"]}
    return {
        **BOUND,
        "parking_put": rows,
        "parking_put_back": rows,
        "window_plan": in_window,
        "window_page": page,
        "status_pending": {**in_window, "after": "{0}", "upto": "{9000000}", "limit": 1_000_000},
        "retained_count": {**BOUND["retained_count"], **in_window},
        "retained_page": {**BOUND["retained_page"], **page},
        "retained_block": {"first": 0, "last": LEAF - 1, "leaf": 0},
    }


NOT_PLANNED = {
    *("session_begin", "session_commit"),
    *("rotation_lock", "rotation_truncate", "wakeup_listen", "wakeup_on", "wakeup_off"),
    *("adopt_take", "adopt_look", "adopt_mark"),
}
"""EXPLAIN does not take the former, which read nothing; the latter are on a table of the user's."""


@pytest.mark.parametrize("name", sorted(statements().keys() - NOT_PLANNED))
def test_no_statement_reads_the_ring_or_the_log_of_windows_from_end_to_end(
    ring: Ring, name: str
) -> None:
    bound = parameters(ring).get(name, {})
    leaf = "window_0" if "log" in name else "event_0"
    statement = statements()[name].replace("{leaf}", leaf)
    plan_of_it = explain(ring.connection, statement, bound, run=False)
    read = {
        (kind, table)
        for kind, table, _ in plan_of_it.scans()
        if table.startswith(("event", "window")) and kind not in ("Index Scan", "Index Only Scan")
    }
    assert {kind for kind, _ in read} <= {"ModifyTable"}


def used_on_populated_leaves(found: Plan) -> set[str]:
    """On an empty leaf any index will do, and any may be chosen."""
    populated = {f"event_{n}" for n in POPULATED}
    return {index for _, table, index in found.scans() if table in populated}


def test_what_became_visible_is_found_by_the_index_on_txid(ring: Ring) -> None:
    bound = plan_parameters(ring.window.cursor.window)
    found = explain(ring.connection, sql.load("window")["window_plan"], bound)
    assert used_on_populated_leaves(found) == {f"event_{n}_txid_idx" for n in POPULATED}
    assert found.rows == len(ring.window.pages)
    assert found.rows_discarded == 0


def test_pending_events_are_counted_by_the_index_on_txid(ring: Ring) -> None:
    found = explain(
        ring.connection,
        sql.load("status")["status_pending"],
        parameters(ring)["status_pending"],
    )
    assert used_on_populated_leaves(found) == {f"event_{n}_txid_idx" for n in POPULATED}
    assert found.rows_discarded == 0


def test_what_is_needed_of_a_leaf_is_found_by_one_probe_of_its_index_for_each_id(
    ring: Ring,
) -> None:
    published = ring.window.cursor.since
    bound = {"xmax": str(published.xmax), "xip": "{3,4}", "floor": 0}
    statement = sql.load("rotation")["rotation_needed"].replace("{leaf}", "event_1")
    found = explain(ring.connection, statement, bound)
    assert found.scans() <= {
        ("Index Scan", "event_1", "event_1_txid_idx"),
        ("Index Scan", "event_1", "event_1_position_idx"),
    }
    assert (found.rows_discarded, found.buffers < 20) == (0, True)


def test_a_page_is_read_by_position_from_its_own_leaf_alone(ring: Ring) -> None:
    for page in ring.window.pages:
        bound = page_parameters(ring.window.cursor.window, page)
        found = explain(ring.connection, sql.load("window")["window_page"], bound)
        leaf = page.first_position // LEAF % 8
        assert found.scans() == {("Index Scan", f"event_{leaf}", f"event_{leaf}_position_idx")}


def test_a_page_of_what_is_kept_is_read_like_a_page_to_publish(ring: Ring) -> None:
    bound = parameters(ring)["retained_page"]
    found = explain(ring.connection, sql.load("retained")["retained_page"], bound)
    leaf = ring.window.pages[0].first_position // LEAF % 8
    assert found.scans() == {("Index Scan", f"event_{leaf}", f"event_{leaf}_position_idx")}
    assert found.rows_discarded == 0


def test_a_page_reads_none_of_what_was_published_before_its_window(ring: Ring) -> None:
    """But for the few at the edge, which share a block of the table with it."""
    page = ring.window.pages[0]
    bound = page_parameters(ring.window.cursor.window, page)
    found = explain(ring.connection, sql.load("window")["window_page"], bound)
    assert (found.rows, found.rows_discarded) == (page.last_position - page.first_position + 1, 0)


def test_an_event_to_be_parked_is_looked_for_in_its_own_leaf_alone(ring: Ring) -> None:
    page = ring.window.pages[0]
    bound = {"positions": [page.first_position], "reasons": ["too large"]}
    found = explain(ring.connection, sql.load("parking")["parking_put"], bound)
    run = {
        (node["Relation Name"], node.get("Index Name"))
        for node in found.nodes()
        if node.get("Relation Name", "").startswith("event_") and node["Actual Loops"]
    }
    leaf = page.first_position // LEAF % 8
    assert run == {(f"event_{leaf}", f"event_{leaf}_position_idx")}


def test_a_look_learns_of_operators_from_indexes_that_are_empty(ring: Ring) -> None:
    found = explain(ring.connection, sql.load("parking")["parking_wanted"], {})
    indexes = {index for _, _, index in found.scans()}
    assert indexes == {"hold_news_idx", "parked_released_idx", "hold_key_idx"}
    assert found.rows_discarded == 0


def test_the_newest_entry_of_the_log_is_found_by_the_index_that_fences(ring: Ring) -> None:
    found = explain(ring.connection, sql.load("cursor")["cursor_newest"], {})
    used = {index for _, table, index in found.scans() if table.startswith("window")}
    assert used == {f"window_{n}_fence" for n in range(4)}


def test_a_look_at_which_nothing_has_changed_does_not_touch_the_events(ring: Ring) -> None:
    until = ring.window.cursor.until
    touched = (
        "select coalesce(sum(idx_scan + seq_scan), 0)::int from pg_stat_xact_user_tables"
        " where relid::regclass::text ~ '^outbox.event'"
    )
    with ring.connection.transaction():
        before = ring.connection.execute(touched).fetchone()
        assert plan(ring.connection, Window(until, until), after=0) == ()
        assert ring.connection.execute(touched).fetchone() == before


def test_the_settings_of_the_session_hold_for_its_transaction_and_no_longer(ring: Ring) -> None:
    ask = "select current_setting('enable_seqscan'), current_setting('plan_cache_mode')"
    with pinned_transaction(ring.connection):
        assert ring.connection.execute(ask).fetchone() == ("off", "force_custom_plan")
    assert ring.connection.execute(ask).fetchone() == ("on", "auto")


@pytest.mark.parametrize(
    ("setting", "in_force"),
    [
        ("off", "on"),
        ("local", "on"),
        ("remote_write", "on"),
        ("on", "on"),
        ("remote_apply", "remote_apply"),
    ],
)
def test_an_entry_of_the_log_is_flushed_whatever_the_server_is_set_to(
    database_url: str, setting: str, in_force: str
) -> None:
    with closing(connect(database_url, "test")) as connection:
        connection.execute(f"set synchronous_commit = {setting}".encode())
        with pinned_transaction(connection):
            row = connection.execute("select current_setting('synchronous_commit')").fetchone()
    assert row == (in_force,)
