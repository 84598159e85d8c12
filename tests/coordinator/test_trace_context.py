"""An event carries the trace context of the code that wrote it, where there is one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState
from sqlalchemy import Engine, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from coordinator import Outbox, OutboxEvent
from coordinator.outbox import trace_context
from coordinator.outbox.table import outbox_event
from coordinator.validation import HEADERS_JSON_BYTES_MAX
from tests.coordinator.flavours import with_driver

OWN = {"traceparent": "00-11111111111111111111111111111111-2222222222222222-00"}


def an_event(headers: dict[str, str] | None = None) -> OutboxEvent:
    return OutboxEvent(topic="a", key="k", type="t", payload=b"", headers=headers or {})


def traceparent_of(span: trace.Span) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def written_headers(engine: Engine) -> dict[str, str]:
    with engine.connect() as connection:
        headers: dict[str, str] = connection.scalars(select(outbox_event.c.headers)).one()
    return headers


@pytest.fixture
def span() -> Iterator[trace.Span]:
    """A span that is current, as an instrumented service has one."""
    with TracerProvider().get_tracer("test").start_as_current_span("order") as current:
        yield current


def test_an_event_gets_the_traceparent_of_the_present_span(
    engine: Engine, span: trace.Span
) -> None:
    with Session(engine) as session, session.begin():
        Outbox().add(session, an_event({"a": "b"}))
    assert written_headers(engine) == {"a": "b", "traceparent": traceparent_of(span)}


def test_an_event_written_by_an_async_session_gets_it_too(
    engine: Engine, database_url: str
) -> None:
    async def write() -> trace.Span:
        a_engine = create_async_engine(with_driver(database_url, "psycopg"))
        tracer = TracerProvider().get_tracer("test")
        with tracer.start_as_current_span("order") as current:
            async with AsyncSession(a_engine) as session, session.begin():
                await Outbox().add(session, an_event())
        await a_engine.dispose()
        return current

    span = asyncio.run(write())
    assert written_headers(engine) == {"traceparent": traceparent_of(span)}


def test_a_tracestate_goes_with_it() -> None:
    state = TraceState([("vendor", "x")])
    remote = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1), trace_state=state)
    with trace.use_span(NonRecordingSpan(remote)):
        assert trace_context.current()["tracestate"] == "vendor=x"


def test_without_a_span_nothing_is_added(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        Outbox().add(session, an_event())
    assert written_headers(engine) == {}


@pytest.mark.parametrize("name", ["traceparent", "TraceParent", "tracestate"])
def test_an_event_with_a_context_of_its_own_keeps_it(
    engine: Engine, span: trace.Span, name: str
) -> None:
    with Session(engine) as session, session.begin():
        Outbox().add(session, an_event({name: OWN["traceparent"]}))
    assert written_headers(engine) == {name: OWN["traceparent"]}


def test_an_event_whose_headers_are_at_their_limit_goes_without_and_does_not_fail(
    engine: Engine, span: trace.Span
) -> None:
    full = {"a": "x" * (HEADERS_JSON_BYTES_MAX - len('{"a": ""}'))}
    with Session(engine) as session, session.begin():
        Outbox().add(session, an_event(full))
    assert written_headers(engine) == full


def test_a_context_that_just_fits_is_added() -> None:
    room = HEADERS_JSON_BYTES_MAX - len('{"a": "", "traceparent": ""}') - len(OWN["traceparent"])
    assert OWN["traceparent"] in trace_context.headers_json({"a": "x" * room}, OWN)
    assert OWN["traceparent"] not in trace_context.headers_json({"a": "x" * (room + 1)}, OWN)


def test_a_writer_without_opentelemetry_does_not_load_it() -> None:
    program = (
        "import sys; from coordinator.outbox import trace_context;"
        "assert trace_context.current() == {};"
        "assert not any(name.startswith('opentelemetry') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
