"""The W3C trace context of the code that writes an event, so that a consumer's span joins it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

from coordinator.validation import HEADERS_JSON_BYTES_MAX

# What `traceparent` and `tracestate` say belongs together: an event that brings either keeps both
# as they are.
_TRACE_HEADERS = frozenset({"traceparent", "tracestate"})


def current() -> Mapping[str, str]:
    """Return `traceparent` and `tracestate` of the present span; nothing where there is no span."""
    # Looked up, not imported: where nothing has loaded OpenTelemetry nothing has started a span,
    # and a writer without it pays one look into a dict.
    if "opentelemetry.trace" not in sys.modules:
        return {}
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 - see above
        TraceContextTextMapPropagator,
    )

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier


def headers_json(headers: Mapping[str, str], context: Mapping[str, str]) -> str:
    """Return `headers` as JSON text, with `context` added.

    An event that has a trace context of its own keeps it. One whose headers would pass the limit of
    16,384 bytes goes without: tracing must not make a business transaction fail.
    """
    own = json.dumps(headers, ensure_ascii=False)
    if not context or any(name.lower() in _TRACE_HEADERS for name in headers):
        return own
    joined = json.dumps({**headers, **context}, ensure_ascii=False)
    return joined if len(joined.encode()) <= HEADERS_JSON_BYTES_MAX else own
