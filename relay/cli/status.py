"""`relay status`: what is waiting, who leads, what is in the way."""

from __future__ import annotations

import json
from contextlib import closing

import click

from relay.cli.options import chosen_outbox, outbox_option
from relay.cli.printable import printable
from relay.core.blockers import Blocker, Blockers
from relay.core.status import Retained, Status
from relay.postgres.cluster import check_schema
from relay.postgres.connect import connect
from relay.postgres.status_reader import read_status

__all__ = ["status"]


@click.command()
@outbox_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(as_json: bool) -> None:
    """Show what is pending, who leads, what is kept, and what is in the way."""
    with closing(connect(chosen_outbox().address(), "status")) as connection:
        check_schema(connection)
        found = read_status(connection)
    click.echo(json.dumps(found.to_dict()) if as_json else printable(_for_people(found)))


def _for_people(found: Status) -> str:
    lines = [
        f"pending   {found.pending:,}{' or more' if found.pending_is_at_least else ''}",
        f"oldest    {found.oldest_pending_seconds:,.1f} s",
        f"leader    {found.leader or 'none'}",
        f"term      {found.term}",
        f"window    {found.window}",
        f"parked    {found.parked:,} in {found.held:,} held keys and topics",
        f"kept      {_kept(found.retained)}",
    ]
    if found.parked or found.held:
        lines.append("          `relay parked list` tells why they wait")
    if found.blocked is not None:
        lines += [
            f"BLOCKED   by event {found.blocked.event_id} for {found.blocked.since_seconds:,.0f} s",
            f"          {found.blocked.reason}",
            "          events behind it wait; delivery goes on by itself once the broker takes it",
        ]
    return "\n".join([*lines, *_in_the_way(found.blockers)])


def _kept(retained: Retained) -> str:
    size = f"{retained.ring_bytes / 1e6:,.1f} MB in {retained.leaves_in_use} of 8 leaves"
    oldest = retained.oldest_kept_seconds
    return size if oldest is None else f"{size}, oldest event {oldest:,.0f} s"


def _in_the_way(blockers: Blockers) -> list[str]:
    lines = [
        f"{'DELAYS' if one.delays_events else 'HOLDS':<9} {_who(one)}, {one.state}, "
        f"for {one.age_seconds:,.0f} s: "
        + ("its events wait for its end" if one.delays_events else "leaves cannot be emptied")
        for one in blockers.named
    ]
    if blockers.hidden:
        lines.append(
            f"hidden    {blockers.hidden} sessions use the outbox and this role may not see since "
            "when: grant pg_read_all_stats to it"
        )
    return lines


def _who(blocker: Blocker) -> str:
    name = f" ({blocker.application_name})" if blocker.application_name else ""
    what = f"pid {blocker.pid}" if blocker.gid is None else f"prepared {blocker.gid!r}"
    return what + name
