from __future__ import annotations

from relay.core.debezium import debezium
from relay.core.envelope import envelope
from relay.core.inputs import Row

ROW: Row = (
    42,
    "5f0c6a1e-0000-4000-8000-000000000001",
    "outbox.event.order",
    "order/1",
    "OrderCreated",
    "application/json",
    b"{}",
    "2026-11-24T20:43:39.000001Z",
    None,
)


def with_headers(text: str) -> Row:
    return (*ROW[:8], text)


def test_an_event_has_the_headers_of_the_router_and_its_place() -> None:
    assert debezium("/orders", "6f6e0c0e-epoch", 7)(ROW) == [
        ("id", "5f0c6a1e-0000-4000-8000-000000000001"),
        ("eventType", "OrderCreated"),
        ("ce_sequence", "0000000000000000007.0000000000000000042"),
        ("ce_outboxepoch", b"6f6e0c0e-epoch"),
    ]


def test_its_place_is_the_same_in_either_envelope() -> None:
    places = [dict(of("/orders", "e", 7)(ROW))["ce_sequence"] for of in (debezium, envelope)]
    assert places[0] == places[1]


def test_it_is_not_taken_for_a_cloudevent() -> None:
    assert "ce_specversion" not in dict(debezium("/orders", "e", 7)(ROW))


def test_the_writers_headers_follow_as_they_stand() -> None:
    row = with_headers('{"traceparent": "00-4bf9-00f0-01", "größe": "ä"}')

    assert debezium("/orders", "e", 7)(row)[4:] == [
        ("traceparent", "00-4bf9-00f0-01"),
        ("größe", "ä"),
    ]


def test_no_header_of_the_writers_stands_in_for_the_events_id_or_type() -> None:
    row = with_headers('{"id": "7", "eventType": "x", "a": "1"}')

    assert [name for name, _ in debezium("/orders", "e", 7)(row)] == [
        "id",
        "eventType",
        "ce_sequence",
        "ce_outboxepoch",
        "a",
    ]


def test_headers_of_one_event_do_not_leak_into_the_next() -> None:
    headers_of = debezium("/orders", "e", 7)
    headers_of(with_headers('{"a": "1"}'))

    assert len(headers_of(ROW)) == 4
