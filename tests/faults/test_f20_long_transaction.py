"""F20: a transaction that stays open, or is prepared and forgotten, delays its own events only, and
makes no look at the outbox dearer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any, LiteralString

import psycopg
import pytest

from relay import sql
from relay.core.numbering import POSITION_MAX
from relay.core.snapshot import Snapshot
from relay.core.window import CHUNK_BITS, Window
from relay.postgres.connect import Connection, connect, pinned_transaction
from relay.postgres.cursor_store import read_cursor
from relay.postgres.window_reader import xid_arrays
from tests.support.consume import read_topic
from tests.support.history import Ledger, Written, prove, wait_drained
from tests.support.kafka import Broker
from tests.support.postgres import CrashablePostgres
from tests.support.processes import StartRelay
from tests.support.workload import KEYS, Writer

PUBLISHED = 8_000
HELD = 2_000
PENDING = 7
BLOCKS_MAX = 60
"""34 were measured: an index of two levels in each of eight leaves, for two ranges of ids. What is
the open transaction wrote would take it above: tried."""

HELD_KEY, NEWLY_HELD_KEY, *OTHER_KEYS = KEYS
_WINDOW = sql.load("window")
_EXPLAIN: LiteralString = "explain (analyze, buffers, format json) "


@pytest.mark.parametrize("prepared", [False, True], ids=["open", "prepared"])
def test_only_the_events_of_the_open_transaction_wait_for_it(
    prepared: bool,
    two_phase_postgres: CrashablePostgres,
    broker: Broker,
    ledger: Ledger,
    relay_process: StartRelay,
) -> None:
    url = two_phase_postgres.url()
    relay = relay_process(url, broker.bootstrap_servers)
    with (
        closing(Writer("holder", url, ledger)) as holder,
        closing(Writer("newer", url, ledger)) as newer,
        closing(Writer("other", url, ledger)) as other,
    ):
        held = _open(holder, HELD_KEY)
        if prepared:
            holder.run("prepare transaction 'forgotten'")
        other.backlog(PUBLISHED, OTHER_KEYS)
        wait_drained(url)

        assert len(read_topic(broker.bootstrap_servers, ledger.topic)) == PUBLISHED
        relay.suspend()
        newly_held = _open(newer, NEWLY_HELD_KEY)  # one that no stored window knows of yet
        other.backlog(PENDING, OTHER_KEYS)
        _require_cheap_look(url)
        relay.resume()

        wait_drained(url)
        assert len(read_topic(broker.bootstrap_servers, ledger.topic)) == PUBLISHED + PENDING
        newer.commit(newly_held)
        holder.commit(held, "commit prepared 'forgotten'" if prepared else "commit")
        prove(ledger, url, broker.bootstrap_servers)


def test_a_writer_in_another_database_of_the_server_delays_nothing(
    two_phase_postgres: CrashablePostgres,
    broker: Broker,
    ledger: Ledger,
    relay_process: StartRelay,
) -> None:
    url = two_phase_postgres.url()
    relay_process(url, broker.bootstrap_servers)
    with psycopg.connect(two_phase_postgres.url("template1")) as elsewhere:
        elsewhere.execute("select pg_current_xact_id()")
        with closing(Writer("w", url, ledger)) as writer:
            writer.backlog(100)
            writer.backlog(100)
        prove(ledger, url, broker.bootstrap_servers)


def _open(writer: Writer, key: str) -> list[Written]:
    """Write events in a transaction that is left open."""
    writer.begin()
    writer.lock([key])
    return writer.emit_many([key], HELD)


def _require_cheap_look(url: str) -> None:
    """The statement that finds the next window reads neither what is published nor what the open
    transaction wrote."""
    with closing(connect(url, "test")) as connection, pinned_transaction(connection):
        plan = _plan_of_the_next_window(connection)
        published_blocks = _blocks_of_events(connection)
    leaves = [node for node in _nodes(plan) if node.get("Relation Name", "").startswith("event_")]
    rows = sum(round(one["Actual Rows"] * one["Actual Loops"]) for one in leaves)
    removed = sum(one.get("Rows Removed by Filter", 0) * one["Actual Loops"] for one in leaves)
    assert (rows, removed) == (PENDING, 0)
    blocks = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    assert blocks < BLOCKS_MAX < published_blocks


def _plan_of_the_next_window(connection: Connection) -> dict[str, Any]:
    row = connection.execute(_WINDOW["window_snapshot"]).fetchone()
    now = Snapshot.parse(str(row and row[0]))
    low, high = xid_arrays(Window(read_cursor(connection).until, now).ranges())
    bounds = {"after": 0, "upto": POSITION_MAX, "chunk_bits": CHUNK_BITS}
    parameters = {"low": low, "high": high, **bounds}
    explained: Any = connection.execute(_EXPLAIN + _WINDOW["window_plan"], parameters).fetchone()
    plan: dict[str, Any] = explained[0][0]["Plan"]
    return plan


def _blocks_of_events(connection: Connection) -> int:
    row: Any = connection.execute("select pg_relation_size('outbox.event_0') / 8192").fetchone()
    return int(row[0])


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)
