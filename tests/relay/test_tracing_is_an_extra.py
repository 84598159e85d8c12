"""Whoever does not trace pays nothing: nothing of OpenTelemetry is loaded, and nothing stands in
the way of a batch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from relay.core.inputs import Acked, Input, Recovered, Rows
from relay.core.reached import Reached
from relay.observe.tracing import TracedSink, traced

LOADED = """
import json, sys
import relay.cli.run
from coordinator import Outbox, OutboxEvent
from relay.observe import tracing
sink = object()
with tracing.configured(False):
    same = tracing.traced(sink) is sink
print(json.dumps([same, [name for name in sys.modules if name.startswith("opentelemetry")]]))
"""
PAGE = 5_000


class Takes:
    """A sink that takes everything."""

    def recover(self, keep_going: Callable[[], bool]) -> Input:
        return Recovered()

    def send(
        self, rows: Rows, number: int, reached: Reached, keep_going: Callable[[], bool]
    ) -> Input:
        return Acked()

    def serve(self) -> None: ...

    def discard(self) -> None: ...


@pytest.fixture
def provider() -> TracerProvider:
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    return made


def page(flags: str | None) -> Rows:
    """Events of as many writers, sampled or not; or without a context."""
    return [
        (number, f"id-{number}", "t", "k", "type", "text/plain", b"x", "time", context)
        for number in range(1, PAGE + 1)
        for context in [flags and f'{{"traceparent": "00-{number:032x}-{number:016x}-{flags}"}}']
    ]


def calls(sink: Any, rows: Rows) -> int:
    """How many functions written in Python are called while a batch is sent."""
    counted = 0

    def count(_: FrameType, happened: str, __: object) -> None:
        nonlocal counted
        counted += happened == "call"

    sys.setprofile(count)
    try:
        sink.send(rows, 1, Reached("1@1", 1), lambda: True)
    finally:
        sys.setprofile(None)
    return counted


def test_a_relay_that_is_not_asked_to_trace_loads_nothing_of_it_and_has_the_bare_sink() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, check=True, timeout=60
    )
    assert json.loads(done.stdout) == [True, []]


def test_a_page_without_a_tracer_costs_not_one_call_more() -> None:
    bare = Takes()
    assert calls(traced(bare), page(None)) == calls(bare, page(None))


@pytest.mark.parametrize(
    ("flags", "calls_an_event"), [(None, 2), ("01", 3), ("00", 7)], ids=["none", "sampled", "not"]
)
def test_with_a_tracer_a_page_costs_a_few_calls_for_each_of_its_events(
    provider: TracerProvider, flags: str | None, calls_an_event: int
) -> None:
    """Its topic, and the context of as many as are looked at: without that limit, and the one of
    links, there are 4 to 20 times as many."""
    sink = TracedSink(Takes(), provider.get_tracer("test"))
    calls(sink, page(flags))  # the first span loads what the next ones find
    assert calls(sink, page(flags)) < calls_an_event * PAGE
