"""The log: one JSON object a line, or coloured text on a terminal.

Never a payload, never a secret, a key only where it was asked for (RELAY_LOG_KEYS); and whoever
writes a line never waits (lines.py).

A line about an event has its `event_id`, `topic`, `attempt` where it was tried, and the writer's
`trace_id` if it stored one.

Naive: only what the relay says itself goes through here. Then the night when something unforeseen
happens is the one with a traceback among the lines, which no collector reads, and whose last line
is the text of an error that may quote a row or a password. So what ends the process, what ends a
thread and what a library warns of are lines as well. Of what is not the relay's own only kind and
place are told: nobody knows what stands in its text.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from structlog.typing import EventDict

from relay.errors import InvariantBroken, RelayError, told_bug
from relay.observe.lines import LineWriter

__all__ = ["LastWords", "Logger", "configured", "ends_as_a_line", "log"]

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
    library, hook = _Library(logging.WARNING), threading.excepthook
    logging.getLogger().addHandler(library)
    threading.excepthook = _tell_thread
    try:
        yield lines.close
    finally:
        threading.excepthook = hook
        logging.getLogger().removeHandler(library)
        lines.close(AT_EXIT_S)


@contextmanager
def ends_as_a_line() -> Iterator[None]:
    """What ends the block is the last line, and then an exit: the code of a RelayError, or 70."""
    try:
        yield
    except RelayError as problem:
        log.error("ended", reason=str(problem), exit_code=problem.exit_code)
        raise SystemExit(problem.exit_code) from None
    except Exception as bug:  # noqa: BLE001 - whatever it is, it is told and ends the process
        log.error("bug", reason=told_bug(bug), advice=REPORT_IT)
        raise SystemExit(InvariantBroken.exit_code) from None


class _Library(logging.Handler):
    """A warning of a library: who said it, and not what."""

    def emit(self, record: logging.LogRecord) -> None:
        log.warning("library", by=record.name, at=f"{record.filename}:{record.lineno}")


def _tell_thread(ended: threading.ExceptHookArgs) -> None:
    # As Python has it: a thread may end itself by SystemExit.
    if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
        thread = ended.thread.name if ended.thread else ""
        log.error("bug", thread=thread, reason=told_bug(ended.exc_value), advice=REPORT_IT)


def _without_key(_: object, __: str, line: EventDict) -> EventDict:
    line.pop("key", None)
    return line


def _dropped(count: int) -> str:
    said = structlog.wrap_logger(structlog.ReturnLogger())
    advice = "nobody read standard error for a while; publishing went on"
    return str(said.warning("log_lines_dropped", lines=count, advice=advice))
