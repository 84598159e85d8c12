"""`relay run` sends its spans where OTEL_EXPORTER_OTLP_ENDPOINT says, and publishes whatever
becomes of them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import psycopg
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from psycopg.types.json import Jsonb

from relay.demo.embedded_postgres import free_port
from relay.observe.tracing import LAST_SPANS_S
from tests.cli.command import relay
from tests.relay.events import emit
from tests.support.consume import read_topic
from tests.support.kafka import Broker
from tests.support.processes import StartRelay

TRACE = "0af7651916cd43dd8448eb211c80319c"
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}


class Collector(HTTPServer):
    """Takes spans as a collector does.

    Attributes:
        requests: what came, decoded.
    """

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        super().__init__(("127.0.0.1", 0), _Takes)

    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class _Takes(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            raise AssertionError("not asked for")
        self.server.requests.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is to be seen of it."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_span_of_a_batch_reaches_the_collector_with_its_link_to_the_writer(
    database_url: str, broker: Broker, topic: str, relay_process: StartRelay, collector: Collector
) -> None:
    headers = Jsonb({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})
    with psycopg.connect(database_url) as writer:
        writer.execute(
            "insert into outbox.event (topic, key, type, payload, headers)"
            " values (%s, 'k', 't', '', %s)",
            (topic, headers),
        )
    endpoint = f"http://127.0.0.1:{collector.server_port}"
    process = relay_process(
        database_url,
        broker.bootstrap_servers,
        "--until-drained",
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
        **SOON,
    )
    assert process.wait() == 0
    (span,) = collector.spans()
    assert span.name == f"send {topic}"
    assert [link.trace_id.hex() for link in span.links] == [TRACE]
    resource = collector.requests[0].resource_spans[0].resource
    names = {one.key: one.value.string_value for one in resource.attributes}
    assert names["service.name"] == "outbox-relay"


def test_a_collector_that_is_away_is_told_once_without_its_address_and_holds_up_nothing(
    database_url: str, broker: Broker, topic: str, relay_process: StartRelay
) -> None:
    emit(database_url, topic, count=3)
    process = relay_process(
        database_url,
        broker.bootstrap_servers,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://user:hunter2@127.0.0.1:{free_port()}",
        OTEL_EXPORTER_OTLP_HEADERS="api-key=hunter2",
        **SOON,
    )
    assert len(read_topic(broker.bootstrap_servers, topic, at_least=3)) == 3
    process.wait_for_log("spans_not_exported")
    process.terminate()
    assert process.wait() == 0
    lines = [one for one in process.log_lines() if one["event"] == "spans_not_exported"]
    assert len(lines) == 1
    assert "hunter2" not in process.log_text()
    assert len(process.log_text().splitlines()) == len(process.log_lines())


def test_a_collector_that_never_answers_holds_up_neither_a_batch_nor_the_stop(
    database_url: str, broker: Broker, topic: str, relay_process: StartRelay
) -> None:
    emit(database_url, topic, count=3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        process = relay_process(
            database_url,
            broker.bootstrap_servers,
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{mute.getsockname()[1]}",
            OTEL_BSP_SCHEDULE_DELAY="100",
        )
        assert len(read_topic(broker.bootstrap_servers, topic, at_least=3)) == 3
        asked, _ = mute.accept()
        with asked:
            process.terminate()
            assert process.wait(LAST_SPANS_S + 5) == 0


def test_without_the_extra_a_wanted_export_is_bad_configuration(
    database_url: str, mock_broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> None:
    hidden = tmp_path_factory.mktemp("hidden")
    (hidden / "opentelemetry").mkdir()  # stands before the installed one, and is empty
    (hidden / "opentelemetry" / "__init__.py").touch()
    outcome = relay(
        "run",
        database_url=database_url,
        bootstrap_servers=mock_broker.bootstrap_servers,
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
        PYTHONPATH=str(hidden),
    )
    assert outcome.exit_code == 78
    assert "outbox-relay[tracing]" in outcome.err
