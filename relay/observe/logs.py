"""The log: one JSON object a line, or coloured text on a terminal.

Never a payload, never a secret, a key only where it was asked for (RELAY_LOG_KEYS); and whoever
writes a line never waits (lines.py).

A line about an event has its `event_id`, `topic`, `attempt` where it was tried, and the writer's
`trace_id` if it stored one.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from traceback import extract_tb

import structlog
from structlog.typing import EventDict

from relay.errors import InvariantBroken, RelayError
from relay.observe.lines import LineWriter

__all__ = ["LastWords", "Logger", "configured", "log"]

Logger = structlog.stdlib.BoundLogger

log: Logger = structlog.get_logger()

AT_EXIT_S = 2.0
"""How long the end of a process waits for a reader to take the last lines."""

REPORT_IT = "a bug: please report this line; what is not acknowledged is sent again"

LastWords = Callable[[float], None]
"""Waits until all lines are written, for so many seconds at most; there are no more after it."""


@contextmanager
def configured(*, keys: bool = False) -> Iterator[LastWords]:
    """Write to standard error until the end of the block, which waits for the last line.

    Control characters in values are escaped by JSON, or by repr on a terminal. With `keys` lines
    about events tell their keys, which may be of persons.

    A bug ends as a line as well, with its kind and place, and exit code 70: the text of an error
    that nobody foresaw may hold what was worked on.

    Yields what waits for it sooner, for a thread that ends the process by `os._exit`.
    """
    # What the driver says of lost connections is told by whoever lost one, as a line of ours.
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    lines = LineWriter(sys.stderr.fileno(), _dropped)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if keys else [_without_key]),
            # By its own choice it would repeat an escape sequence that has no blank in it.
            structlog.dev.ConsoleRenderer(pad_event_to=24, repr_native_str=True)
            if sys.stderr.isatty()
            else structlog.processors.JSONRenderer(ensure_ascii=True),
        ],
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    try:
        yield lines.close
    except RelayError:
        raise
    except Exception as bug:  # noqa: BLE001 - whatever it is, it is told and ends the process
        log.error("bug", kind=type(bug).__name__, at=_places(bug), advice=REPORT_IT)
        raise SystemExit(InvariantBroken.exit_code) from None
    finally:
        lines.close(AT_EXIT_S)


def _without_key(_: object, __: str, line: EventDict) -> EventDict:
    line.pop("key", None)
    return line


def _places(bug: Exception) -> list[str]:
    return [f"{one.name}, line {one.lineno}" for one in extract_tb(bug.__traceback__)]


def _dropped(count: int) -> str:
    said = structlog.wrap_logger(structlog.ReturnLogger())
    advice = "nobody read standard error for a while; publishing went on"
    return str(said.warning("log_lines_dropped", lines=count, advice=advice))
