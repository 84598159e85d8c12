"""The log: one JSON object a line, or coloured text on a terminal.

Never a payload, never a key, never a secret.
"""

from __future__ import annotations

import logging
import sys

import structlog

__all__ = ["configure", "log"]

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def configure() -> None:
    """Write to standard error.

    Control characters in values are escaped by JSON, or by repr on a terminal.
    """
    # What the driver says of lost connections is told by whoever lost one, as a line of ours.
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    for_people = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(pad_event_to=24)
            if for_people
            else structlog.processors.JSONRenderer(ensure_ascii=True),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
