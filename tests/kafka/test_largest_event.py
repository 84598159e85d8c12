"""The largest event that a writer may write fits a broker with its default limits."""

from __future__ import annotations

import json

import pytest

from tests.relay.events import connected
from tests.support.consume import read_topic
from tests.support.kafka import Broker
from tests.support.processes import StartRelay

PAYLOAD_BYTES_MAX, KEY_BYTES_MAX, HEADERS_BYTES_MAX = 1_000_000, 8_192, 16_384


@pytest.mark.real_broker
def test_an_event_at_every_limit_at_once_is_published_whole(
    broker: Broker, topic: str, database_url: str, relay_process: StartRelay
) -> None:
    # Random bytes would do as well; these show where a piece was lost.
    payload = bytes(n // 256 % 256 if n % 2 else n % 256 for n in range(PAYLOAD_BYTES_MAX))
    key = "é" * (KEY_BYTES_MAX // 2)
    headers = {f"h{n:03}": "v" * 242 for n in range(64)}
    headers["h-rest"] = "v" * (HEADERS_BYTES_MAX - len(json.dumps(headers)) - len(', "h-rest": ""'))
    assert len(json.dumps(headers)) == HEADERS_BYTES_MAX
    with connected(database_url) as writer:
        writer.execute(
            "insert into outbox.event (topic, key, type, content_type, payload, headers)"
            " values (%s, %s, repeat('t', 255), repeat('c', 255), %s, %s::jsonb)",
            (topic, key, payload, json.dumps(headers)),
        )
    relay = relay_process(
        database_url, broker.bootstrap_servers, "--until-drained", RELAY_SOURCE="/" + "s" * 254
    )
    assert relay.wait() == 0
    (record,) = read_topic(broker.bootstrap_servers, topic, at_least=1)
    assert record.value == payload
    assert record.key == key.encode()
    assert {name: value for name, value in record.headers if name in headers} == {
        name: value.encode() for name, value in headers.items()
    }
