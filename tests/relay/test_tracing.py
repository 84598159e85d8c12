"""From writer to consumer: the writer's context arrives as it was, and the relay's span links to
it."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from sqlalchemy.orm import Session

from coordinator import Outbox, OutboxEvent
from coordinator.inbox.consumer import Consumer
from coordinator.inbox.memory import Record
from relay.core.inputs import Acked, Doubtful, Input, Recovered, Row, Rows
from relay.core.reached import Reached
from relay.errors import Fenced
from relay.kafka.properties import producer_properties
from relay.kafka.sink import KafkaSink
from relay.observe.tracing import LINKS_MAX, TracedSink, traced
from relay.ports import Sink
from relay.postgres.window_reader import PageReader
from tests.coordinator.consumer_process import PROPERTIES
from tests.coordinator.database import engine_on
from tests.relay.leader import leading, opened
from tests.support.kafka import Broker

REACHED = Reached("1@1", 1)
UNSAMPLED, SAMPLED = "00", "01"


class Spans:
    """A tracer, and what it has exported."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = provider.get_tracer("test")

    def named(self, name: str) -> ReadableSpan:
        (found,) = [one for one in self._exporter.get_finished_spans() if one.name == name]
        return found


class Answers:
    """A sink that answers every batch alike, or raises."""

    def __init__(self, outcome: Input | Exception) -> None:
        self._outcome = outcome

    def recover(self, keep_going: Callable[[], bool]) -> Input:
        return Recovered()

    def send(
        self, rows: Rows, number: int, reached: Reached, keep_going: Callable[[], bool]
    ) -> Input:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    def serve(self) -> None: ...

    def discard(self) -> None: ...


@pytest.fixture
def spans() -> Spans:
    return Spans()


def always() -> bool:
    return True


def a_row(number: int, trace_id: int = 0, *, flags: str = SAMPLED, topic: str = "orders") -> Row:
    context = f'{{"traceparent": "00-{trace_id:032x}-{1:016x}-{flags}"}}' if trace_id else None
    return (number, f"id-{number}", topic, "secret", "t", "text/plain", b"x", "time", context)


def sent(spans: Spans, rows: Rows, outcome: Input | Exception | None = None) -> Input:
    sink: Sink = TracedSink(Answers(outcome or Acked()), spans.tracer)
    return sink.send(rows, 1, REACHED, always)


def publish(database_url: str, broker: Broker, spans: Spans) -> None:
    """All that is pending, as the pump would."""
    properties = producer_properties(broker.bootstrap_servers, {})
    sink = KafkaSink(properties, "/test", lambda: 0.0, lambda _: None)
    sink.enter("1", "outbox")
    with leading(database_url) as store:
        window = opened(store)
        reader = PageReader(database_url)
        rows = [row for page in window.pages for row in reader.read(window.cursor.window, page)]
        reader.close()
    assert TracedSink(sink, spans.tracer).send(rows, 1, REACHED, always) == Acked()


def place(context: SpanContext | None) -> tuple[int, int]:
    """Which span it is; whether it came from another process is left out."""
    assert context is not None
    return context.trace_id, context.span_id


def consume(url: str, broker: Broker, topic: str, spans: Spans) -> dict[str, str]:
    """The first record through the inbox, as an instrumented handler goes on with what it finds;
    its text headers."""
    found: dict[str, str] = {}

    def handle(_: Session, record: Record) -> None:
        found.update({name: value.decode() for name, value in record.headers if value is not None})
        context = TraceContextTextMapPropagator().extract(found)
        with spans.tracer.start_as_current_span("process", context, kind=SpanKind.CONSUMER):
            consumer.stop()

    with engine_on(url) as engine:
        consumer = Consumer(
            engine,
            consumer="billing",
            topics=[topic],
            handler=handle,
            bootstrap_servers=broker.bootstrap_servers,
            properties=PROPERTIES,
        )
        consumer.run()
    return found


def test_the_consumers_span_is_the_writers_child_and_the_relays_span_links_to_the_writers(
    database_url: str, broker: Broker, topic: str, spans: Spans
) -> None:
    written: dict[str, str] = {}
    with psycopg.connect(database_url) as writer, spans.tracer.start_as_current_span("order"):
        TraceContextTextMapPropagator().inject(written)
        Outbox().add(writer, OutboxEvent(topic=topic, key="k", type="t", payload=b""))
    publish(database_url, broker, spans)
    arrived = consume(database_url, broker, topic, spans)

    order, send, process = (spans.named(name) for name in ("order", f"send {topic}", "process"))
    assert place(process.parent) == place(order.context), "the consumer's is the writer's child"
    assert arrived["traceparent"] == written["traceparent"], "passed on as it was stored"
    assert [place(link.context) for link in send.links] == [place(order.context)]
    assert (send.parent, send.kind) == (None, SpanKind.CLIENT)


def test_a_span_is_described_by_the_messaging_conventions_and_tells_no_key(spans: Spans) -> None:
    sent(spans, [a_row(1)])
    assert dict(spans.named("send orders").attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "orders",
        "messaging.batch.message_count": 1,
        "messaging.message.id": "id-1",
    }


def test_a_batch_for_several_topics_names_them_in_its_links(spans: Spans) -> None:
    sent(spans, [a_row(1, 7, topic="a"), a_row(2, 8, topic="b")])
    span = spans.named("send")
    assert "messaging.destination.name" not in (span.attributes or {})
    told = [(link.attributes or {})["messaging.destination.name"] for link in span.links]
    assert told == ["a", "b"]


def test_a_writers_span_is_linked_once_and_one_that_was_not_sampled_never(spans: Spans) -> None:
    sent(spans, [a_row(1, 7), a_row(2, 7), a_row(3, 8, flags=UNSAMPLED), a_row(4)])
    assert [link.context.trace_id for link in spans.named("send orders").links] == [7]


def test_a_large_batch_has_no_more_links_than_an_sdk_keeps(spans: Spans) -> None:
    sent(spans, [a_row(number, number) for number in range(1, 2 * LINKS_MAX)])
    assert len(spans.named("send orders").links) == LINKS_MAX


def test_a_header_that_is_no_context_is_not_linked_to(spans: Spans) -> None:
    row = (*a_row(1)[:8], '{"traceparent": "00-zz"}')
    assert sent(spans, [row]) == Acked()
    assert spans.named("send orders").links == ()


def test_a_batch_that_is_in_doubt_is_an_error_without_the_brokers_words(spans: Spans) -> None:
    assert sent(spans, [a_row(1)], Doubtful("broker says hunter2")) == Doubtful(
        "broker says hunter2"
    )
    span = spans.named("send orders")
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "Doubtful"
    assert "hunter2" not in span.to_json()


def test_what_the_sink_raises_is_raised_and_the_span_ends(spans: Spans) -> None:
    with pytest.raises(Fenced):
        sent(spans, [a_row(1)], Fenced("by hunter2"))
    span = spans.named("send orders")
    assert (span.attributes or {})["error.type"] == "Fenced"
    assert "hunter2" not in span.to_json()


def test_where_nobody_configured_tracing_the_sink_is_left_as_it_is() -> None:
    sink = Answers(Acked())
    assert traced(sink) is sink
