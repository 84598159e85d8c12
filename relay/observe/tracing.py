"""Spans of what the relay sends, for OpenTelemetry: every name that a tracing system sees of it.

The writer's context goes to the consumer as it was stored (core/trace_context.py), so the
consumer's span joins the writer's trace whether or not anybody traces the relay. What is added here
is one span for each batch that is handed to the broker, kind CLIENT, with links to the spans of the
events' writers: links and not a parent, since a batch has many writers.

Naive: a span for each event, in the writer's trace. At 100,000 events/s that is 100,000 spans a
second, made by the thread that publishes.

So a batch has one span and LINKS_MAX links at most. They go to the traces that the writers sampled,
since nobody can follow the others, each once.

Names: OpenTelemetry's semantic conventions for messaging, and for Kafka, of 1.27 and later.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from relay.core.inputs import Acked, Input, Rows, event_id, topic
from relay.core.reached import Reached
from relay.core.trace_context import trace_context
from relay.errors import BadConfiguration
from relay.observe.logs import log
from relay.ports import Sink

if TYPE_CHECKING:
    from opentelemetry.trace import Link, Span, Tracer
    from opentelemetry.util.types import Attributes, AttributeValue

__all__ = ["LINKS_MAX", "TracedSink", "configured", "traced"]

LINKS_MAX = 128
"""What an SDK keeps of a span's links unless it is told otherwise (OTEL_SPAN_LINK_COUNT_LIMIT)."""

LOOKED_AT_MAX = 1_024
"""Events of a batch that are searched for contexts: some 3 ms where none of them is sampled."""

LAST_SPANS_S = 2.0
"""How long the end of a process waits for the collector to take the last spans."""

SERVICE = "outbox-relay"
SPAN = "send"
SYSTEM = "messaging.system"
OPERATION_NAME = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
DESTINATION = "messaging.destination.name"
MESSAGE_COUNT = "messaging.batch.message_count"
MESSAGE_ID = "messaging.message.id"
ERROR_TYPE = "error.type"

NOT_EXPORTED = "spans are lost, publishing goes on; check the OTEL_* variables; told once"
MISUNDERSTOOD = "OTEL_*: OpenTelemetry's SDK does not take the value of one of these variables"
INSTALL = "OTEL_EXPORTER_OTLP_ENDPOINT is set: it needs pip install 'outbox-relay[tracing]'"


@contextmanager
def configured(wanted: bool) -> Iterator[None]:
    """With `wanted`, export spans as the OTEL_* variables say, until the end of the block.

    Without it a provider that is there already is used, such as that of `opentelemetry-instrument`.

    Raises BadConfiguration where the SDK or its exporter is not installed, or refuses a setting.
    """
    if not wanted:
        yield
        return
    provider = _provider()
    try:
        yield
    finally:
        # The SDK waits for longer than a stop may take, and in vain where a collector hangs.
        last = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
        last.start()
        last.join(LAST_SPANS_S)


def _provider() -> Any:
    try:
        from opentelemetry import trace  # noqa: PLC0415 - an extra, which most installations lack
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - as above
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import (  # noqa: PLC0415 - as above
            OTELResourceDetector,
            Resource,
        )
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as above
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - as above
    except ImportError:
        raise BadConfiguration(INSTALL) from None
    library = logging.getLogger("opentelemetry")
    library.propagate = False
    library.addHandler(_TellsOnce(logging.WARNING))
    named = Resource({"service.name": SERVICE}).merge(OTELResourceDetector().detect())
    resource = Resource.create().merge(named)
    try:
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except ValueError:
        raise BadConfiguration(MISUNDERSTOOD) from None
    trace.set_tracer_provider(provider)
    return provider


class _TellsOnce(logging.Handler):
    """Tells that spans were lost, in a line of ours, and not what the exporter says of it.

    Its texts may hold the address and what the collector answered, and so a key to either.
    """

    _told = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self._told:
            self._told = True
            log.warning("spans_not_exported", by=record.name, advice=NOT_EXPORTED)


def traced(sink: Sink) -> Sink:
    """`sink`, with a span around each batch where OpenTelemetry is in use; else `sink` itself."""
    # Looked up, not imported: where nothing has loaded OpenTelemetry nothing has configured it.
    api = sys.modules.get("opentelemetry.trace")
    if api is None or isinstance(api.get_tracer_provider(), api.ProxyTracerProvider):
        return sink
    return TracedSink(sink, api.get_tracer(SERVICE))


class TracedSink:
    """See Sink. Answers as the one within does, and raises what it raises."""

    def __init__(self, sink: Sink, tracer: Tracer) -> None:
        self._sink = sink
        self._tracer = tracer

    def recover(self, keep_going: Callable[[], bool]) -> Input:
        """See Sink.recover."""
        return self._sink.recover(keep_going)

    def send(
        self, rows: Rows, number: int, reached: Reached, keep_going: Callable[[], bool]
    ) -> Input:
        """See Sink.send."""
        from opentelemetry.trace import SpanKind  # noqa: PLC0415 - loaded by whoever configured it

        topics = {topic(row) for row in rows}
        name = f"{SPAN} {topics.copy().pop()}" if len(topics) == 1 else SPAN
        with self._tracer.start_as_current_span(
            name,
            kind=SpanKind.CLIENT,
            links=_links(rows),
            attributes=_attributes(rows, topics),
            # Of an error only its kind: its text stands in the log, scrubbed of secrets.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                outcome = self._sink.send(rows, number, reached, keep_going)
            except Exception as problem:
                _failed(span, problem)
                raise
            if not isinstance(outcome, Acked):
                _failed(span, outcome)
        return outcome

    def serve(self) -> None:
        """See Sink.serve."""
        self._sink.serve()

    def discard(self) -> None:
        """See Sink.discard."""
        self._sink.discard()


def _attributes(rows: Rows, topics: set[str]) -> Attributes:
    found: dict[str, AttributeValue] = {
        SYSTEM: "kafka",
        OPERATION_NAME: "send",
        OPERATION_TYPE: "send",
        MESSAGE_COUNT: len(rows),
    }
    if len(topics) == 1:
        found[DESTINATION] = rows[0][2]
    if len(rows) == 1:
        found[MESSAGE_ID] = event_id(rows[0])
    return found


def _links(rows: Rows) -> Sequence[Link]:
    """To the writers' spans: sampled ones, each once, with the first event that each wrote."""
    from opentelemetry.trace import Link, get_current_span  # noqa: PLC0415 - as above
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 - as above
        TraceContextTextMapPropagator,
    )

    extract = TraceContextTextMapPropagator().extract
    found: dict[tuple[int, int], Link] = {}
    for row in rows[:LOOKED_AT_MAX]:
        if len(found) == LINKS_MAX:
            break
        if not (carrier := trace_context(row)):
            continue
        context = get_current_span(extract(carrier)).get_span_context()
        place = (context.trace_id, context.span_id)
        if context.is_valid and context.trace_flags.sampled and place not in found:
            of_event = {MESSAGE_ID: event_id(row), DESTINATION: topic(row)}
            found[place] = Link(context, of_event)
    return list(found.values())


def _failed(span: Span, outcome: Input | Exception) -> None:
    from opentelemetry.trace import StatusCode  # noqa: PLC0415 - as above

    span.set_attribute(ERROR_TYPE, type(outcome).__name__)
    span.set_status(StatusCode.ERROR)
