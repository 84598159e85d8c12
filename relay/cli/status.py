"""`relay status`: what is waiting, who leads, what is in the way."""

from __future__ import annotations

import json
from contextlib import closing

import click

from relay import config
from relay.core.status import Status
from relay.postgres.cluster import check_schema
from relay.postgres.connect import connect
from relay.postgres.status_reader import read_status

__all__ = ["status"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(as_json: bool) -> None:
    """Show what is pending, who leads, and which event is in the way."""
    with closing(connect(config.load_database().url, "status")) as connection:
        check_schema(connection)
        found = read_status(connection)
    click.echo(json.dumps(found.to_dict()) if as_json else _for_people(found))


def _for_people(found: Status) -> str:
    lines = [
        f"pending   {found.pending:,}{' or more' if found.pending_is_at_least else ''}",
        f"oldest    {found.oldest_pending_seconds:,.1f} s",
        f"leader    {found.leader or 'none'}",
        f"term      {found.term}",
        f"window    {found.window}",
        f"parked    {found.parked:,} in {found.held:,} held keys and topics",
    ]
    if found.parked:
        lines.append("          `relay parked list` tells why they wait")
    if found.blocked is not None:
        lines += [
            f"BLOCKED   by event {found.blocked.event_id} for {found.blocked.since_seconds:,.0f} s",
            f"          {found.blocked.reason}",
            "          events behind it wait; delivery goes on by itself once the broker takes it",
        ]
    return "\n".join(lines)
