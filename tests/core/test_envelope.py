from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.core.envelope import PLACE_DIGITS, envelope
from relay.core.inputs import Row

ROW: Row = (
    42,
    "5f0c6a1e-0000-4000-8000-000000000001",
    "runs",
    "tenant/1",
    "run.completed",
    "application/json",
    b"{}",
    "2026-11-24T20:43:39.000001Z",
    None,
)

places = st.integers(0, 2**63 - 1)


def with_headers(text: str | None) -> Row:
    return (*ROW[:8], text)


def at(position: int) -> Row:
    return (position, *ROW[1:])


def sequence(number: int, position: int) -> str:
    return str(dict(envelope("/relay", "epoch", number)(at(position)))["ce_sequence"])


def test_an_event_has_the_headers_of_cloudevents_and_its_place() -> None:
    headers = envelope("/runs/relay", "6f6e0c0e-epoch", 7)(ROW)

    assert headers == [
        ("ce_specversion", b"1.0"),
        ("ce_id", "5f0c6a1e-0000-4000-8000-000000000001"),
        ("ce_source", b"/runs/relay"),
        ("ce_type", "run.completed"),
        ("ce_time", "2026-11-24T20:43:39.000001Z"),
        ("content-type", "application/json"),
        ("ce_sequence", "0000000000000000007.0000000000000000042"),
        ("ce_outboxepoch", b"6f6e0c0e-epoch"),
    ]


def test_the_writers_headers_follow_as_they_stand() -> None:
    row = with_headers('{"traceparent": "00-4bf9-00f0-01", "größe": "ä"}')

    assert envelope("/relay", "epoch", 7)(row)[8:] == [
        ("traceparent", "00-4bf9-00f0-01"),
        ("größe", "ä"),
    ]


def test_a_source_that_is_not_ascii_goes_out_as_utf8() -> None:
    assert dict(envelope("/größe", "epoch", 7)(ROW))["ce_source"] == "/größe".encode()


def test_headers_of_one_event_do_not_leak_into_the_next() -> None:
    headers_of = envelope("/relay", "epoch", 7)
    headers_of(with_headers('{"a": "1"}'))

    assert len(headers_of(ROW)) == 8


@given(places, places)
def test_a_place_has_the_same_width_whatever_its_numbers(number: int, position: int) -> None:
    assert len(sequence(number, position)) == 2 * PLACE_DIGITS + 1


@given(places, places, places, places)
def test_places_compare_as_text_as_they_do_as_numbers(n1: int, p1: int, n2: int, p2: int) -> None:
    assert (sequence(n1, p1) < sequence(n2, p2)) == ((n1, p1) < (n2, p2))
