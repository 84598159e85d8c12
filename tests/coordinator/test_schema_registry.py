"""A schema error fails the business transaction, by the name of the field and without the value."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from google.protobuf.wrappers_pb2 import DoubleValue
from sqlalchemy import Engine, text

from coordinator import (
    BadInput,
    Coordinator,
    InvalidEvent,
    OutboxEvent,
    RegisteredSchema,
    SchemaRegistryAway,
    Transaction,
    TransactionFailed,
)
from tests.coordinator import schemas
from tests.coordinator.orders import done, statuses

INVOICE = {"total": 12.5}


def invoices(make: Callable[[SchemaRegistryClient], Any] = schemas.avro) -> RegisteredSchema:
    serializer, _ = make(schemas.registry())
    return RegisteredSchema(serializer, topic="invoices")


def event_of(schema: RegisteredSchema, data: object) -> OutboxEvent:
    return OutboxEvent.of(
        topic=schema.topic,
        key="7",
        type="invoice.sent",
        data=data,
        serializer=schema,
        content_type=schema.content_type,
    )


@pytest.mark.parametrize("name", schemas.FORMATS)
def test_the_content_type_says_that_the_registrys_frame_comes_first(name: str) -> None:
    make, data = schemas.FORMATS[name]
    event = event_of(invoices(make), data)
    assert event.content_type == f"application/vnd.confluent.{name}"
    assert event.payload is not None
    assert event.payload[0] == 0


AVRO_MISFITS: list[tuple[object, str]] = [
    ({}, "data.total"),
    ({"total": "s3cret"}, "data"),
    ({"total": 1.0, "note": 5}, "data.note"),
    ({"total": 1.0, "lines": "s3cret"}, "data.lines"),
    ({"total": 1.0, "note": "s3cret\ud800"}, "data"),
    (7, "data"),
    (None, "data"),
]
JSON_MISFITS: list[tuple[object, str]] = [
    ({}, "data.required"),
    ({"total": "s3cret"}, "data.properties.total.type"),
    ("s3cret", "data.type"),
    ({"total": 1, "more": {"s3cret"}}, "data"),
]
PROTOBUF_MISFITS: list[tuple[object, str]] = [(DoubleValue(value=1.0), "data"), ("s3cret", "data")]
MISFITS = [
    *((schemas.avro, data, field) for data, field in AVRO_MISFITS),
    *((schemas.json_schema, data, field) for data, field in JSON_MISFITS),
    *((schemas.protobuf, data, field) for data, field in PROTOBUF_MISFITS),
]


@pytest.mark.parametrize(("make", "data", "field"), MISFITS)
def test_data_that_does_not_fit_is_refused_by_its_place_and_not_shown(
    make: Callable[[SchemaRegistryClient], Any], data: object, field: str
) -> None:
    with pytest.raises(InvalidEvent) as refused:
        event_of(invoices(make), data)
    assert refused.value.field == field
    assert "s3cret" not in str(refused.value)


def test_data_that_does_not_fit_takes_the_transaction_with_it(orders: Engine) -> None:
    def pay(tx: Transaction) -> None:
        tx.session.execute(text("update orders set status = 'paid' where id = 7"))
        tx.emit(event_of(invoices(), {"total": "much"}))

    with pytest.raises(TransactionFailed) as failed:
        Coordinator(orders).run(pay, key=("acme", 7))
    assert isinstance(failed.value.cause, InvalidEvent)
    assert statuses(orders) == {7: "open"}
    assert done(orders) == {}


def test_what_is_no_registry_serializer_is_refused() -> None:
    with pytest.raises(BadInput, match="serializer: must be one of AvroSerializer"):
        RegisteredSchema(lambda data, _: json.dumps(data).encode(), topic="invoices")


def test_a_topic_that_kafka_refuses_is_refused() -> None:
    serializer, _ = schemas.avro(schemas.registry())
    with pytest.raises(InvalidEvent, match="topic"):
        RegisteredSchema(serializer, topic="in voices")


@contextmanager
def answering(status: int) -> Iterator[str]:
    """The address of a server that answers everything with `status`."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"error_code": 1, "message": "s3cret"}'
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the name that the server looks for

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def invoices_at(url: str) -> RegisteredSchema:
    client = SchemaRegistryClient({"url": url, "max.retries": 0})
    return invoices(lambda _: schemas.avro(client))


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_registry_that_cannot_answer_now_is_away_and_the_schema_not_to_blame(status: int) -> None:
    with answering(status) as url, pytest.raises(SchemaRegistryAway, match=f"HTTP {status}"):
        event_of(invoices_at(url), INVOICE)


@pytest.mark.parametrize("status", [401, 409, 422])
def test_a_schema_that_the_registry_refuses_is_bad_input(status: int) -> None:
    with answering(status) as url, pytest.raises(InvalidEvent, match=f"HTTP {status}") as refused:
        event_of(invoices_at(url), INVOICE)
    assert "s3cret" not in str(refused.value)


def test_a_registry_that_nobody_reaches_is_away() -> None:
    with answering(500) as url:
        pass
    with pytest.raises(SchemaRegistryAway):
        event_of(invoices_at(url), INVOICE)


def test_a_registry_that_goes_away_is_not_missed_for_a_schema_that_was_seen() -> None:
    schema = invoices()
    first = event_of(schema, INVOICE)
    schema._serializer._registry = None  # type: ignore[attr-defined]  # as far away as it can be
    assert event_of(schema, INVOICE).payload == first.payload
