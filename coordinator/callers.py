"""Whose line it is: the innermost frame outside of SQLAlchemy, Kafka's client and this package."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType
from typing import NamedTuple

__all__ = ["Place", "caller"]

# `contextlib` stands between a `with` block and what it ends.
_LIBRARIES = frozenset({"coordinator", "sqlalchemy", "confluent_kafka", "contextlib"})


class Place(NamedTuple):
    """A line of the user's code."""

    file: str
    line: int

    def __str__(self) -> str:
        """As compilers and editors write it."""
        return f"{self.file}:{self.line}"


def caller() -> Place | None:
    """Return the line that made this package, or SQLAlchemy, do what it is doing now.

    Under asyncio SQLAlchemy works in a greenlet, whose stack does not hold the code that awaits it:
    that is on the stack of the greenlet's parent.
    """
    for frame in _frames():
        if _is_the_users(frame):
            return Place(frame.f_code.co_filename, frame.f_lineno)
    return None


def _frames() -> Iterator[FrameType]:
    yield from _outwards(sys._getframe(1))  # noqa: SLF001 - inspect.stack() reads every source file
    greenlets = sys.modules.get("greenlet")
    waiting = greenlets.getcurrent().parent if greenlets else None
    while waiting is not None:
        yield from _outwards(waiting.gr_frame)
        waiting = waiting.parent


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_the_users(frame: FrameType) -> bool:
    # <string>, <sqlalchemy ...>: a generated function has no line of its own.
    if frame.f_code.co_filename.startswith("<"):
        return False
    module = str(frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] not in _LIBRARIES
