"""What people see: a live picture on a terminal, plain lines elsewhere, a table at the end."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final, Protocol

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from relay.demo.figures import Figures, RelayState
from relay.demo.proof import Line, Proof

_WIDTH_MAX: Final = 100
_PLAIN_EVERY_S: Final = 1.0
_FRAMES_PER_S: Final = 8


class Display(Protocol):
    """Shows the demo as it goes."""

    def say(self, what: str) -> None:
        """Tell what has happened."""

    def show(self, figures: Figures) -> None:
        """Show how things stand; called several times a second."""

    def prove(self, proof: Proof) -> None:
        """Show the proof, last of all."""


@contextmanager
def open_display(runs: int) -> Iterator[Display]:
    """A display for standard output as it is: a terminal or not."""
    if not sys.stdout.isatty():
        yield PlainDisplay()
        return
    display = LiveDisplay(runs)
    with Live(
        get_renderable=display.picture, console=display.console, refresh_per_second=_FRAMES_PER_S
    ):
        yield display


class _Clock:
    def __init__(self) -> None:
        self._began_s = monotonic()

    def now(self) -> str:
        return f"{monotonic() - self._began_s:5.1f} s"


class PlainDisplay:
    """Lines of text without any escape code, for files and pipes."""

    def __init__(self) -> None:
        # Whatever the environment says of colours: what is no terminal gets none.
        self._console = Console(
            file=sys.stdout, width=_WIDTH_MAX, force_terminal=False, color_system=None
        )
        self._clock = _Clock()
        self._shown_s = 0.0

    def say(self, what: str) -> None:
        self._print(what)

    def show(self, figures: Figures) -> None:
        if monotonic() - self._shown_s < _PLAIN_EVERY_S:
            return
        self._shown_s = monotonic()
        self._print(
            f"committed {figures.committed}/{figures.runs} runs, {figures.events} events; "
            f"published {figures.published}, waiting {figures.waiting}, lag {figures.lag_s:.1f} s; "
            f"consumed {figures.consumed}, duplicates dropped {figures.dropped}"
        )

    def prove(self, proof: Proof) -> None:
        _print_proof(self._console, proof)

    def _print(self, line: str) -> None:
        sys.stdout.write(f"{self._clock.now()}  {line}\n")
        sys.stdout.flush()  # a pipe's reader wants to see it happen


class LiveDisplay:
    """One picture that changes: progress, figures, relays, and what has happened so far."""

    def __init__(self, runs: int) -> None:
        self.console = Console(highlight=False)
        self._clock = _Clock()
        self._runs = runs
        self._lock = threading.Lock()
        self._said: list[tuple[str, str]] = []
        self._figures: Figures | None = None

    def say(self, what: str) -> None:
        with self._lock:
            self._said.append((self._clock.now(), what))

    def show(self, figures: Figures) -> None:
        with self._lock:
            self._figures = figures

    def prove(self, proof: Proof) -> None:
        _print_proof(self.console, proof)

    def picture(self) -> RenderableType:
        """The present picture; drawn by a thread of the display's own."""
        with self._lock:
            said, figures = list(self._said), self._figures
        parts: list[RenderableType] = []
        if figures is not None:
            parts += [_progress(figures), Text(), _columns(figures), Text()]
        parts.append(_story(said))
        return Panel(
            Group(*parts),
            title=f"[bold]outbox relay[/]: {self._runs:,} runs, PostgreSQL to Kafka",
            title_align="left",
            subtitle=self._clock.now().strip(),
            subtitle_align="right",
            box=box.ROUNDED,
            padding=(1, 2),
            width=min(self.console.width, _WIDTH_MAX),
        )


def _progress(figures: Figures) -> Table:
    grid = Table.grid(padding=(0, 2), expand=True)
    grid.add_column(width=14)
    grid.add_column(ratio=1)
    grid.add_column(justify="right", width=16)
    bars = (
        ("runs committed", figures.committed, figures.runs),
        ("published", figures.published, figures.events),
        ("consumed", figures.consumed, figures.events),
    )
    for name, done, total in bars:
        bar = ProgressBar(total=max(total, 1), completed=min(done, total))
        grid.add_row(name, bar, f"{done:,} of {total:,}")
    return grid


def _columns(figures: Figures) -> Table:
    grid = Table.grid(padding=(0, 4))
    grid.add_row(_numbers(figures), _relays(figures.relays))
    return grid


def _numbers(figures: Figures) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column(justify="right", width=10)
    lag = "red" if figures.lag_s > 1 else "green"
    grid.add_row("incidents", f"{figures.incidents:,}")
    grid.add_row("rolled back", f"{figures.rolled_back:,}")
    grid.add_row("events waiting", f"{figures.waiting:,}")
    grid.add_row("lag", f"[{lag}]{figures.lag_s:.1f} s[/]")
    grid.add_row("duplicates dropped", f"[yellow]{figures.dropped:,}[/]")
    return grid


def _relays(relays: tuple[RelayState, ...]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for relay in relays:
        colour = {"k": "red", "l": "green"}.get(relay.state[0], "cyan")
        grid.add_row(relay.name, f"pid {relay.pid}", f"[{colour}]{relay.state}[/]")
    return grid


def _story(said: list[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for when, what in said:
        style = "bold red" if what.startswith("kill") else ""
        grid.add_row(Text(when, style="dim"), Text(what, style=style))
    return grid


def _print_proof(console: Console, proof: Proof) -> None:
    table = Table(box=box.SIMPLE_HEAD, width=min(console.width, _WIDTH_MAX), pad_edge=False)
    table.add_column("the proof")
    table.add_column("")
    table.add_column("", width=3)
    for line in proof.lines():
        table.add_row(line.claim, line.found, _mark(line))
    console.print(table)
    for violation in proof.violations():
        console.print(Text(violation, style="red"), soft_wrap=True)
    console.print(
        Text("Every count is right.", style="bold green")
        if proof.holds
        else Text("THE PROOF DOES NOT HOLD.", style="bold red")
    )


def _mark(line: Line) -> Text:
    if line.holds is None:
        return Text()
    return Text("ok", style="green") if line.holds else Text("OFF", style="bold red")
