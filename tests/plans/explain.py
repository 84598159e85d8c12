"""EXPLAIN of a statement as the relay runs it: in its pinned transaction, with its parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from relay.core.window import CHUNK_BITS, Page, Window
from relay.postgres.connect import Connection, pinned_transaction
from relay.postgres.window_reader import xid_arrays

Parameters = Mapping[str, object]


@dataclass(frozen=True)
class Plan:
    """What the planner chose, and, where it was run, what that cost."""

    root: Mapping[str, Any]

    def nodes(self) -> Iterator[Mapping[str, Any]]:
        """Every node, parents first."""
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += node.get("Plans", [])

    def scans(self) -> set[tuple[str, str, str]]:
        """(kind of scan, table, index) of every access to a table that was or would be run."""
        return {
            (node["Node Type"], node["Relation Name"], node.get("Index Name", ""))
            for node in self.nodes()
            if "Relation Name" in node
        }

    @property
    def rows(self) -> int:
        """How many rows it gave."""
        return int(self.root["Actual Rows"])

    @property
    def rows_discarded(self) -> int:
        """How many rows it read and then dropped, for want of a better index condition."""
        return sum(int(node.get("Rows Removed by Filter", 0)) for node in self.nodes())

    @property
    def buffers(self) -> int:
        """How many pages of the database it looked at, in memory or not."""
        return int(self.root["Shared Hit Blocks"] + self.root["Shared Read Blocks"])


def explain(
    connection: Connection, statement: str, parameters: Parameters, *, run: bool = True
) -> Plan:
    """The plan of `statement`; with `run` it is carried out as well, and taken back."""
    options = "analyze, buffers, timing off, format json" if run else "format json"
    found: list[Any] = []
    with pinned_transaction(connection):
        found += connection.execute(f"explain ({options}) {statement}".encode(), parameters)
        if found:
            raise psycopg.Rollback
    return Plan(found[0][0][0]["Plan"])


def plan_parameters(window: Window, after: int = 0) -> dict[str, object]:
    """What `window_plan` is bound with."""
    low, high = xid_arrays(window.ranges())
    bounds = {"after": after, "upto": window.upto}
    return {"low": low, "high": high, **bounds, "chunk_bits": CHUNK_BITS}


def page_parameters(window: Window, page: Page) -> dict[str, object]:
    """What `window_page` is bound with."""
    return {
        "first": page.first_position,
        "last": page.last_position,
        "leaf": (page.first_position >> 20) & 7,
        "since": str(window.since),
        "until": str(window.until),
        "limit": page.limit,
    }
