"""The book's chapter on traces, executed as it stands."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from coordinator import Outbox, OutboxEvent
from coordinator.inbox.memory import Record
from tests.docs.readme import examples, run

CHAPTER = "Traces from writer to consumer"


class Writes:
    """A session that keeps what is added to it."""

    def __init__(self) -> None:
        self.added: list[Any] = []

    def add(self, one: Any) -> None:
        self.added.append(one)


def test_the_handlers_span_is_the_child_of_the_writers(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    # A process has one provider for good, and other tests have a say in it as well.
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    with (
        psycopg.connect(database_url) as writer,
        provider.get_tracer("shop").start_as_current_span("o"),
    ):
        Outbox().add(writer, OutboxEvent(topic="orders", key="42", type="t", payload=b'{"id": 42}'))
        row = writer.execute("select headers, payload from outbox.event").fetchone()
    assert row is not None
    stored = [(name, value.encode()) for name, value in row[0].items()]
    headers = [("ce_id", str(uuid4()).encode()), *stored]

    names = run(CHAPTER, examples(CHAPTER)[0], Invoice=SimpleNamespace, json=json)
    session = Writes()
    names["bill"](session, Record("orders", 0, 0, b"42", row[1], headers, 0))

    written, processed = exporter.get_finished_spans()
    assert processed.parent is not None
    assert written.context is not None
    assert processed.parent.span_id == written.context.span_id
    assert [one.order_id for one in session.added] == [42]
