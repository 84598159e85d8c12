"""The trace context that a writer stored: read from the headers' text, and never made up."""

from __future__ import annotations

import json

import pytest

from relay.core.rows import Row
from relay.core.trace_context import trace_context, trace_id

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def row_with(headers: object) -> Row:
    text = None if headers is None else json.dumps(headers)
    return (1, "id-1", "t", "k", "type", "text/plain", b"x", "time", text)


def test_the_context_is_what_was_stored_and_nothing_of_the_other_headers() -> None:
    stored = {"traceparent": PARENT, "tracestate": "vendor=x", "authorization": "secret"}
    assert trace_context(row_with(stored)) == {"traceparent": PARENT, "tracestate": "vendor=x"}


def test_the_trace_id_is_the_writers() -> None:
    assert trace_id(row_with({"traceparent": PARENT})) == TRACE


@pytest.mark.parametrize("headers", [None, {}, {"tracestate": "a=b"}, {"x": '"traceparent"'}])
def test_without_a_traceparent_there_is_no_context_and_no_trace(headers: object) -> None:
    row = row_with(headers)
    assert (trace_context(row).get("traceparent"), trace_id(row)) == (None, None)


@pytest.mark.parametrize(
    "hostile", ["", "card 4111111111111111", f"00-{TRACE}", f"{PARENT}\n", PARENT.upper()]
)
def test_what_is_no_traceparent_does_not_get_into_the_log(hostile: str) -> None:
    assert trace_id(row_with({"traceparent": hostile})) is None
