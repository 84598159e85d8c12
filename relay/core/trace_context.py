"""The trace context that a writer stored with an event: read for logs and links, never changed.

It travels among the event's own headers as W3C's `traceparent` and `tracestate`, and reaches the
consumer as it was stored: the relay puts no span of its own between the writer's and the
consumer's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from relay.core.rows import Row

__all__ = ["trace_context", "trace_id"]

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_NAMES = ("traceparent", "tracestate")


def trace_context(row: Row) -> Mapping[str, str]:
    """`traceparent` and `tracestate` as they were stored; nothing where there is none."""
    # Asked of the text first: most headers hold none, and parsing them costs ten times as much.
    if row[8] is None or '"traceparent"' not in row[8]:
        return {}
    headers = json.loads(row[8])
    return {name: headers[name] for name in _NAMES if isinstance(headers.get(name), str)}


def trace_id(row: Row) -> str | None:
    """The 32 hexadecimal digits by which a tracing system finds the writer's trace.

    None where there is no context, or none of W3C's form: a writer's header may hold anything, and
    this goes into the log.
    """
    found = _TRACEPARENT.fullmatch(trace_context(row).get("traceparent", ""))
    return found[1] if found else None
