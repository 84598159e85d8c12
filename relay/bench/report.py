"""What people see of a benchmark: bars on a terminal, plain lines elsewhere, a table at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import singledispatch
from typing import Final

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from relay.bench.backlog import Backlog
from relay.bench.consume import BASELINE, Consumed
from relay.bench.drain import Drain
from relay.bench.exactly_once import Cost
from relay.bench.latency import RATES, Latency
from relay.bench.longtx import HELD_EVENTS, LongTransaction
from relay.bench.stage import Watcher
from relay.bench.turn import Contender
from relay.bench.writers import Writers

__all__ = ["show", "watching"]

_WIDTH_MAX: Final = 100


@contextmanager
def watching() -> Iterator[Watcher]:
    """Something that shows how far it got, on standard output as it is: a terminal or not."""
    console = _console()
    if not sys.stdout.isatty():
        yield _Lines(console)
        return
    columns = (TextColumn("{task.description:20}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        yield _Bars(progress)


@singledispatch
def show(found: object) -> None:
    """The figures side by side, and what they were measured on."""
    raise TypeError(f"no table for {type(found).__name__}")


@show.register
def _(found: Drain) -> None:
    """The figures side by side, and what they were measured on."""
    table = Table(box=box.SIMPLE_HEAD, title="a backlog, published")
    for heading in ("", "events/s", "the relay is", "WAL an event"):
        table.add_column(heading, justify="right" if heading else "left")
    relay = found.relay
    table.add_row("relay", f"{relay.events_per_second:,.0f}", "", _wal(relay))
    for name, peer in (
        ("skip locked, update", found.skip_locked_update),
        ("bare produce()", found.bare_produce),
        ("Kafka's own tool", found.kafka_tool),
    ):
        if not peer.events:
            continue
        ratio = relay.events_per_second / peer.events_per_second
        table.add_row(name, f"{peer.events_per_second:,.0f}", f"{ratio:.2f} x", _wal(peer))
    console = _console()
    console.print(table)
    console.print(
        f"relay: {found.relay_cpu_seconds_per_million:.2f} s CPU a million events,"
        f" {relay.peak_mb:.0f} MB at most"
    )
    console.print(f"{relay.events:,} events in {found.rounds} round(s); {_services(found)}")


@show.register
def _(found: LongTransaction) -> None:
    """Without an open transaction and with one."""
    table = Table(box=box.SIMPLE_HEAD, title="a backlog, published beside an open transaction")
    for heading in ("", "events/s", "of the rate without"):
        table.add_column(heading, justify="right" if heading else "left")
    table.add_row("without", f"{found.alone.events_per_second:,.0f}", "")
    held = found.held_open.events_per_second
    table.add_row(f"with {HELD_EVENTS:,} events held", f"{held:,.0f}", f"{found.ratio:.2f} x")
    console = _console()
    console.print(table)
    console.print(
        f"{found.alone.events:,} events each in {found.rounds} round(s); {_services(found)}"
    )


@show.register
def _(found: Backlog) -> None:
    """The whole beside a tenth of it, and its first pages beside its last."""
    table = Table(box=box.SIMPLE_HEAD, title="a large backlog, published")
    for heading in ("events", "events/s", "of the tenth's rate", "memory at most"):
        table.add_column(heading, justify="right")
    tenth, whole = found.tenth, found.whole
    for events, figures, ratio in (
        (tenth.events // 2, tenth, ""),
        (whole.events, whole, f"{found.ratio:.2f} x"),
    ):
        rate, peak = f"{figures.events_per_second:,.0f}", f"{figures.peak_mb:.0f} MB"
        table.add_row(f"{events:,}", rate, ratio, peak)
    console = _console()
    console.print(table)
    for name, pages in (("first", found.first_pages), ("last", found.last_pages)):
        console.print(
            f"a page in the {name} tenth: {pages.p50_ms:.0f} ms (p50), {pages.p99_ms:.0f} ms (p99)"
        )
    console.print(_services(found))


@show.register
def _(found: Consumed) -> None:
    """The figures side by side, and what they were measured on."""
    table = Table(box=box.SIMPLE_HEAD, title="a backlog, consumed")
    for heading in ("", "events/s", "of the rate without memory", "client CPU an event"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, pace in found.paces.items():
        ratio = "" if name == BASELINE else f"{found.ratio(name):.2f}"
        cpu = f"{pace.client_cpu_us_per_event:.1f} us"
        table.add_row(name, f"{pace.events_per_second:,.0f}", ratio, cpu)
    console = _console()
    console.print(table)
    console.print(
        f"{found.paces[BASELINE].events:,} events in {found.rounds} round(s); PostgreSQL"
        f" {found.postgres}, broker: {found.broker}; load average {found.load_average:.1f} before"
    )


@show.register
def _(found: Cost) -> None:
    """Both ways side by side, and what they were measured on."""
    table = Table(box=box.SIMPLE_HEAD, title="delivery, commit to consumer")
    for heading in ("", "events/s", "of the default", "p50", "p99"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, one in found.deliveries.items():
        table.add_row(
            name,
            f"{one.events_per_second:,.0f}",
            f"{found.ratio:.2f}" if name == "exactly-once" else "",
            f"{one.latency_ms(50):.1f} ms",
            f"{one.latency_ms(99):.1f} ms",
        )
    console = _console()
    console.print(table)
    console.print(
        f"{found.events:,} events each way; PostgreSQL {found.postgres}, broker: {found.broker};"
        f" load average {found.load_average:.1f} before"
    )


@show.register
def _(found: Writers) -> None:
    """The paces side by side for each number of writers."""
    table = Table(box=box.SIMPLE_HEAD, title="completing a run, four events")
    for heading in ("writers", "", "transactions/s", "p99", "execute takes"):
        table.add_column(heading, justify="left" if heading == "" else "right")
    for count, paces in found.paces.items():
        times = {
            way: f"{found.times_by_hand(count, way):.2f} x its time"
            for way in ("by_hand_in_a_pipeline", "by_hand")
        }
        times["execute_without_events"] = f"{found.cost_of_events(count):.0%} fewer transactions/s"
        for way, pace in paces.items():
            table.add_row(
                str(count) if way == "execute" else "",
                way.replace("_", " "),
                f"{pace.per_second:,.0f}",
                f"{pace.p99_ms:.1f} ms",
                times.get(way, ""),
                end_section=way == "by_hand",
            )
    console = _console()
    console.print(table)
    console.print(f"PostgreSQL {found.postgres}; load average {found.load_average:.1f} before")


@show.register
def _(found: Latency) -> None:
    """Both ways to wake up, side by side."""
    table = Table(box=box.SIMPLE_HEAD, title="from the commit to a consumer")
    rates = [f"{rate:,}/s {what}" for rate in RATES for what in ("p50", "p99")]
    for heading in ("", *rates, "idle: queries/s", "% of a core"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, mode in found.modes.items():
        waits = [f"{mode.percentile_ms(rate, p):.1f} ms" for rate in RATES for p in (50, 99)]
        idle = (f"{mode.idle_queries_per_second:.1f}", f"{mode.idle_cpu_percent:.1f}")
        table.add_row(name, *waits, *idle)
    console = _console()
    console.print(table)
    console.print(
        f"{found.seconds} s each; PostgreSQL {found.postgres}, broker: {found.broker};"
        f" load average {found.load_average:.1f} before"
    )


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}

    def at(self, what: str, done: int, total: int) -> None:
        if what not in self._bars:
            self._bars[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._bars[what], completed=done)


class _Lines:
    """A line for each tenth, so that a log of hours stays short."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tenths: dict[str, int] = {}

    def at(self, what: str, done: int, total: int) -> None:
        tenth = done * 10 // total
        if tenth > self._tenths.get(what, 0):
            self._tenths[what] = tenth
            self._console.print(f"{what}: {done:,} of {total:,}")


def _services(found: Drain | LongTransaction | Backlog) -> str:
    return (
        f"PostgreSQL {found.postgres}, broker: {found.broker};"
        f" load average {found.load_average:.1f} before"
    )


def _wal(contender: Contender) -> str:
    return f"{contender.wal_bytes / contender.events:,.1f} B"


def _console() -> Console:
    # FORCE_COLOR must not put escapes into a file.
    if sys.stdout.isatty():
        return Console()
    return Console(width=_WIDTH_MAX, force_terminal=False, no_color=True, highlight=False)
