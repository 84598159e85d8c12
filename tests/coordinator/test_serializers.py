"""OutboxEvent.of: the payload is what any function makes of the data, when the event is written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coordinator import InvalidEvent, OutboxEvent


def event_of(data: Any, serializer: Any) -> OutboxEvent:
    return OutboxEvent.of(
        topic="a",
        key="k",
        type="t",
        data=data,
        serializer=serializer,
        content_type="application/x-own",
        headers={"schema": "7"},
    )


def test_the_payload_is_the_serializers_bytes() -> None:
    event = event_of([1, 2, 255], bytes)
    assert (event.payload, event.content_type) == (b"\x01\x02\xff", "application/x-own")
    assert (event.topic, event.key, event.type, event.headers) == ("a", "k", "t", {"schema": "7"})


def test_a_serializers_own_error_reaches_the_caller_as_it_is() -> None:
    class SchemaError(Exception):
        pass

    def refuse(_data: object) -> bytes:
        raise SchemaError("field `total` is missing")

    with pytest.raises(SchemaError, match="total"):
        event_of({}, refuse)


@pytest.mark.parametrize("serializer", [json.dumps, lambda _: None, lambda _: bytearray(b"x")])
def test_a_serializer_that_returns_no_bytes_is_refused(serializer: Any) -> None:
    with pytest.raises(InvalidEvent, match="payload: must be bytes"):
        event_of({}, serializer)


def test_json_is_utf_8_without_blanks_in_the_order_of_the_data() -> None:
    event = OutboxEvent.json(topic="a", key="k", type="t", data={"b": [1, None], "a": "ü"})
    assert event.payload == '{"b":[1,null],"a":"ü"}'.encode()
    assert event.content_type == "application/json"
