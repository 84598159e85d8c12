"""Whose line it is: the innermost frame outside of SQLAlchemy and of this package."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

__all__ = ["place_of_caller"]

_LIBRARIES = ("sqlalchemy", "confluent_kafka", "coordinator")


def place_of_caller() -> str:
    """Return `file:line` of the code that made SQLAlchemy do what it is doing now.

    Under asyncio SQLAlchemy works in a greenlet, whose stack does not hold the code that awaits it:
    that is on the stack of the greenlet's parent.
    """
    # <string>, <frozen ...>: a generated __init__ of a dataclass has no line of its own.
    not_theirs = ("<", *_folders())
    for frame in _frames():
        name = frame.f_code.co_filename
        if not name.startswith(not_theirs):
            return f"{name}:{frame.f_lineno}"
    return "(unknown place)"


def _folders() -> Iterator[str]:
    for name in _LIBRARIES:
        module = sys.modules.get(name)
        if module is not None and module.__file__:
            yield f"{Path(module.__file__).parent}/"


def _frames() -> Iterator[FrameType]:
    yield from _outwards(sys._getframe(1))  # noqa: SLF001 - inspect.stack() reads every source file
    if "greenlet" in sys.modules:
        greenlet = sys.modules["greenlet"].getcurrent().parent
        while greenlet is not None:
            yield from _outwards(greenlet.gr_frame)
            greenlet = greenlet.parent


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
