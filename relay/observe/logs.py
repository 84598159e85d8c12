"""The log: one JSON object a line, or coloured text on a terminal.

Never a payload, never a key, never a secret; and whoever writes a line never waits (lines.py).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from relay.observe.lines import LineWriter

__all__ = ["LastWords", "Logger", "configured", "log"]

Logger = structlog.stdlib.BoundLogger

log: Logger = structlog.get_logger()

AT_EXIT_S = 2.0
"""How long the end of a process waits for a reader to take the last lines."""

LastWords = Callable[[float], None]
"""Waits until all lines are written, for so many seconds at most; there are no more after it."""


@contextmanager
def configured() -> Iterator[LastWords]:
    """Write to standard error until the end of the block, which waits for the last line.

    Control characters in values are escaped by JSON, or by repr on a terminal.

    Yields what waits for it sooner, for a thread that ends the process by `os._exit`.
    """
    # What the driver says of lost connections is told by whoever lost one, as a line of ours.
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    lines = LineWriter(sys.stderr.fileno(), _dropped)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(pad_event_to=24)
            if sys.stderr.isatty()
            else structlog.processors.JSONRenderer(ensure_ascii=True),
        ],
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    try:
        yield lines.close
    finally:
        lines.close(AT_EXIT_S)


def _dropped(count: int) -> str:
    said = structlog.wrap_logger(structlog.ReturnLogger())
    advice = "nobody read standard error for a while; publishing went on"
    return str(said.warning("log_lines_dropped", lines=count, advice=advice))
