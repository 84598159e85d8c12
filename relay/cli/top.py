"""`relay top`: one screen that is alive."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice

import click

from relay import config
from relay.admin.broker_probe import NOT_KNOWN_YET, BrokerProbe
from relay.cli.layout import labelled
from relay.cli.options import chosen_outbox, outbox_option
from relay.cli.watching import looks, show_each
from relay.core.blockers import BLOCKS_AFTER_S, Blocker
from relay.core.board import Board, Waiting
from relay.core.headline import headline
from relay.core.printable import printable
from relay.core.sparkline import sparkline
from relay.daemon.clock import monotonic_s
from relay.errors import BadConfiguration, Unreachable
from relay.kafka.properties import faults, producer_properties
from relay.observe.recent import Recent, Sample
from relay.outboxes import Outbox
from relay.postgres.board_reader import read_board
from relay.postgres.connect import Connection
from relay.postgres.examiner import latency_s

__all__ = ["top"]

WIDTH_MAX = 120
CURVE_MIN = 10
FIGURE_CHARACTERS = 22
BROKER_WAIT_S = 6.0
NOT_CONFIGURED = "not configured here"
_WHOLE = ("problem", "broker")
"""What is not cut: the end of a reason is what it is read for."""
_COLOURS = {"good": "green", "note": "yellow", "bad": "red"}


@dataclass(frozen=True, slots=True)
class _Seen:
    """All looks so far. `broker`: seconds that an answer took, or why there is none."""

    board: Board | None
    problem: str | None
    recent: Recent
    database_s: float | None
    broker: float | str

    @property
    def broker_away(self) -> bool:
        """Whether it was asked, and none answered."""
        return isinstance(self.broker, str) and self.broker not in (NOT_CONFIGURED, NOT_KNOWN_YET)


@click.command()
@outbox_option
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(0.5, 3_600.0),
    default=2.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object after two looks, then end.")
def top(every_s: float, as_json: bool) -> None:
    """Watch rates, lag, who leads, what is parked, latencies and open transactions, live.

    Ends by Ctrl-C. Where standard output is no terminal it prints one screen, after two looks, and
    ends. Needs what `relay run` may read: the role outbox_relay.
    """
    seen = _seen(chosen_outbox(), every_s, _broker())
    live = sys.stdout.isatty() and not as_json
    if live:
        show_each("\n".join(_screen(one, *shutil.get_terminal_size())) for one in seen)
        return
    # The second look is the first that has a rate.
    last = list(islice(seen, 2))[-1]
    click.echo(json.dumps(_as_json(last)) if as_json else "\n".join(_screen(last, 80, 1_000)))
    sys.exit(1 if last.problem else 0)


def _broker() -> Callable[[], float | str]:
    """What asks how the broker does; a configuration without one is no reason not to look."""
    try:
        shared = config.load({}, faults).shared
    except BadConfiguration:
        return lambda: NOT_CONFIGURED
    properties = producer_properties(shared.kafka_bootstrap_servers, config.kafka_properties())
    probe = BrokerProbe(properties, monotonic_s)
    within_s = 0.0 if sys.stdout.isatty() else BROKER_WAIT_S
    return lambda: probe.latest(within_s)


def _seen(outbox: Outbox, every_s: float, broker: Callable[[], float | str]) -> Iterator[_Seen]:
    def read(connection: Connection) -> tuple[float, Board]:
        return latency_s(connection, monotonic_s), read_board(connection)

    recent, board = Recent(), None
    for found in looks(outbox.address, "status", read, every_s):
        now_s = monotonic_s()
        if isinstance(found, Unreachable):
            recent = recent.having(Sample(now_s))
            yield _Seen(board, str(found), recent, None, broker())
            continue
        database_s, board = found
        status = board.status
        lag_s = status.oldest_pending_seconds
        recent = recent.having(Sample(now_s, board.passed, status.pending, lag_s))
        yield _Seen(board, None, recent, database_s, broker())


def _screen(seen: _Seen, columns: int, rows: int) -> list[str]:
    columns = min(columns, WIDTH_MAX)
    lines = [
        line
        for label, text in _lines(seen, columns)
        for line in _rows(label, text, columns - 1, whole=label in _WHOLE)
    ]
    stalled = seen.recent.stalled
    said = headline(seen.board, seen.problem, stalled=stalled, broker_away=seen.broker_away)
    told = labelled("", said.text, columns - 1, indent=0)
    title = click.style(told, fg=_COLOURS[said.tone], bold=True)
    return [title, "", *lines][: max(8, rows - 1)]


def _rows(label: str, text: str, columns: int, *, whole: bool) -> list[str]:
    """Cut, as a line that wraps moves all below it; some terminals wrap behind the last column."""
    if whole:
        return labelled(label, text, columns).splitlines()
    line = f"{label:<10}{text}".rstrip()
    return [line if len(line) <= columns else line[: columns - 1] + "…"]


def _lines(seen: _Seen, columns: int) -> Iterator[tuple[str, str]]:
    if seen.board is not None:
        yield from _figures(seen, seen.board, max(CURVE_MIN, columns - 11 - FIGURE_CHARACTERS))
    database = "away" if seen.database_s is None else f"{seen.database_s * 1_000:,.1f} ms"
    broker = seen.broker
    told = broker if isinstance(broker, str) else f"{broker * 1_000:,.1f} ms"
    yield "latency", f"database {database}, broker {'away' if seen.broker_away else told}"
    if seen.broker_away:
        yield "broker", printable(str(broker)).removeprefix("broker: ")
    if seen.problem is not None:
        yield "problem", printable(seen.problem)
    if seen.board is not None:
        yield "oldest", _oldest(seen.board.status.blockers.named, seen.board.status.blockers.hidden)
        for one in seen.board.waiting:
            yield "WAITS", _waiting(one)


def _figures(seen: _Seen, board: Board, curve: int) -> Iterator[tuple[str, str]]:
    status = board.status
    points = list(seen.recent.points(seen.recent.samples[-1].at_s))
    manner = f", {status.delivery}, {status.envelope}" if status.delivery else ""
    yield "leader", f"{printable(status.leader or 'none')}, term {status.term}{manner}"
    yield "standbys", ", ".join(printable(one.name) for one in board.standbys) or "none"
    rate = seen.recent.rate
    drawn = (
        ("rate", "-" if rate is None else f"{rate:,.0f}/s", [one.rate for one in points]),
        ("pending", _pending(board), [one.pending for one in points]),
        ("lag", f"{status.oldest_pending_seconds:,.1f} s", [one.lag_s for one in points]),
    )
    for label, figure, values in drawn:
        yield label, f"{figure:<{FIGURE_CHARACTERS}}{sparkline(values, curve)}"
    yield "parked", f"{status.parked:,} events; {status.held:,} keys and topics wait"
    kept = status.retained
    yield "kept", f"{kept.ring_bytes / 1e6:,.1f} MB in {kept.leaves_in_use} of 8 leaves"


def _pending(board: Board) -> str:
    status = board.status
    return f"{status.pending:,}{' or more' if status.pending_is_at_least else ''}"


def _oldest(named: tuple[Blocker, ...], hidden: int) -> str:
    if named:
        one = named[0]
        who = f"pid {one.pid}" if one.gid is None else f"prepared {printable(one.gid)}"
        effect = "delays events" if one.delays_events else "pins leaves"
        name = f" ({printable(one.application_name)})" if one.application_name else ""
        return f"transaction {one.age_seconds:,.0f} s, {effect}: {who}{name}, {one.state}"
    if hidden:
        return f"{hidden} sessions use the outbox, since when is hidden (pg_read_all_stats)"
    return f"no transaction that holds the outbox for {BLOCKS_AFTER_S:g} s"


def _waiting(one: Waiting) -> str:
    scope = {"key": "a key of ", "topic": "topic ", "event": "an event of "}[one.scope]
    events = f"{one.events:,}{' or more' if one.events_is_at_least else ''}"
    reason = printable(one.reason)
    return f"{scope}{printable(one.topic)}, {events} for {one.since_seconds:,.0f} s: {reason}"


def _as_json(seen: _Seen) -> dict[str, object]:
    broker = seen.broker
    return {
        "problem": seen.problem,
        "rate": seen.recent.rate,
        "database_seconds": seen.database_s,
        "broker_seconds": None if isinstance(broker, str) else broker,
        "broker_problem": broker if isinstance(broker, str) else None,
        "board": None if seen.board is None else asdict(seen.board),
    }
