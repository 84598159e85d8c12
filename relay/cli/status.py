"""`relay status`: what is waiting, who leads, what is in the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import click

from relay.cli.layout import labelled, width
from relay.cli.options import chosen_outbox, outbox_option
from relay.cli.watching import looks, show_each
from relay.core.blockers import Blocker, Blockers
from relay.core.printable import printable
from relay.core.status import Retained, Status
from relay.errors import Unreachable
from relay.outboxes import Outbox
from relay.postgres.cluster import check_schema
from relay.postgres.connect import connect
from relay.postgres.status_reader import read_status

__all__ = ["status"]


@click.command()
@outbox_option
@click.option(
    "--watch",
    "every_s",
    type=click.FloatRange(0.5, 3_600.0),
    is_flag=False,
    flag_value=2.0,
    metavar="[SECONDS]",
    help="Look again every so many seconds, 2 by default, until Ctrl-C.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object; one a line with --watch.")
def status(every_s: float | None, as_json: bool) -> None:
    """Show what is pending, who leads, what is kept, and what is in the way."""
    outbox = chosen_outbox()
    if every_s is not None:
        show_each(_frames(outbox, every_s, as_json))
        return
    with closing(connect(outbox.address(), "status")) as connection:
        check_schema(connection)
        found = read_status(connection)
    click.echo(json.dumps(found.to_dict()) if as_json else _for_people(found, width()))


def _frames(outbox: Outbox, every_s: float, as_json: bool) -> Iterator[str]:
    for found in looks(outbox.address, "status", read_status, every_s):
        if isinstance(found, Unreachable):
            problem = str(found)
            yield json.dumps({"error": problem}) if as_json else f"{printable(problem)}\n"
        else:
            # The last column stays free: what erases the rest of a line would take the character in
            # it. An empty line keeps frames apart where they stand below each other.
            columns = (width() or 0) - 1
            text = _for_people(found, columns if columns > 0 else None)
            yield json.dumps(found.to_dict()) if as_json else f"{text}\n"


def _for_people(found: Status, columns: int | None) -> str:
    return "\n".join(labelled(label, text, columns) for label, text in _lines(found))


def _lines(found: Status) -> Iterator[tuple[str, str]]:
    yield "pending", f"{found.pending:,}{' or more' if found.pending_is_at_least else ''}"
    yield "oldest", f"{found.oldest_pending_seconds:,.1f} s"
    yield "leader", printable(found.leader or "none")
    if found.leader is not None:
        yield "delivery", _manner(found)
    yield "term", str(found.term)
    yield "window", str(found.window)
    yield "parked", f"{found.parked:,} in {found.held:,} held keys and topics"
    yield "kept", _kept(found.retained)
    if found.parked or found.held:
        yield "", "`relay parked list` tells why they wait"
    if found.blocked is not None:
        blocked = found.blocked
        yield "BLOCKED", f"by event {blocked.event_id} for {blocked.since_seconds:,.0f} s"
        yield "", printable(blocked.reason)
        yield "", "events behind it wait; delivery goes on by itself once the broker takes it"
    yield from _in_the_way(found.blockers)


def _manner(found: Status) -> str:
    if found.delivery is None:
        return "not told by the leader's session; its line `leading` in the log says it"
    return f"{found.delivery}, envelope {found.envelope}"


def _kept(retained: Retained) -> str:
    size = f"{retained.ring_bytes / 1e6:,.1f} MB in {retained.leaves_in_use} of 8 leaves"
    oldest = retained.oldest_kept_seconds
    return size if oldest is None else f"{size}, oldest event {oldest:,.0f} s"


def _in_the_way(blockers: Blockers) -> Iterator[tuple[str, str]]:
    for one in blockers.named:
        effect = "its events wait for its end" if one.delays_events else "leaves cannot be emptied"
        who = f"{_who(one)}, {printable(one.state)}, for {one.age_seconds:,.0f} s"
        yield "DELAYS" if one.delays_events else "HOLDS", f"{who}: {effect}"
    if blockers.hidden:
        they = f"{blockers.hidden} sessions use the outbox and this role may not see since when"
        yield "hidden", f"{they}: grant pg_read_all_stats to it"


def _who(blocker: Blocker) -> str:
    name = f" ({printable(blocker.application_name)})" if blocker.application_name else ""
    what = f"pid {blocker.pid}" if blocker.gid is None else f"prepared {blocker.gid!r}"
    return what + name
