"""One look at the database after the other, until Ctrl-C."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from typing import TypeVar

import click

from relay.address import Address
from relay.daemon.clock import rest
from relay.errors import Unreachable
from relay.postgres.cluster import check_schema
from relay.postgres.connect import Connection, connect

__all__ = ["looks", "show_each"]

_TO_THE_TOP = "\x1b[H"
_REST_OF_LINE, _REST_OF_SCREEN = "\x1b[K", "\x1b[J"

T = TypeVar("T")


def looks(
    address: Callable[[], Address], purpose: str, read: Callable[[Connection], T], every_s: float
) -> Iterator[T | Unreachable]:
    """What `read` finds, every so many seconds, on one connection; made anew when it is lost, which
    is a look too.

    Whoever watches through a night must not have to begin again because the database did.
    """
    never = threading.Event()
    while True:
        try:
            with closing(connect(address(), purpose)) as connection:
                check_schema(connection)
                while True:
                    yield read(connection)
                    rest(every_s, unless=never)
        except Unreachable as problem:
            yield problem
            rest(every_s, unless=never)


def show_each(frames: Iterable[str]) -> None:
    """Print each frame: over the last one on a terminal, else below it. Ctrl-C ends it well."""
    terminal = sys.stdout.isatty()
    # Cleared once; then lines are written over, which does not flicker.
    begin = "\x1b[2J" if terminal else ""
    with suppress(KeyboardInterrupt):
        for frame in frames:
            click.echo(begin + (_over(frame) if terminal else frame), color=True)
            begin = ""


def _over(frame: str) -> str:
    lines = (line + _REST_OF_LINE for line in frame.split("\n"))
    return _TO_THE_TOP + "\n".join(lines) + _REST_OF_SCREEN
