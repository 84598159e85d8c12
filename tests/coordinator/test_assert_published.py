"""assert_published: what is wanted, and a failure that shows what was there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from coordinator import OutboxEvent
from coordinator.testing.published import PublishedEvents


class Events(PublishedEvents):
    def __init__(self, *events: OutboxEvent) -> None:
        self._events = events

    @property
    def events(self) -> Sequence[OutboxEvent]:
        return self._events


def paid(key: str | None = "7", total: Any = 12, topic: str = "orders") -> OutboxEvent:
    return OutboxEvent.json(topic=topic, key=key, type="order.paid", data={"total": total})


def failure(events: Events, **wanted: Any) -> str:
    with pytest.raises(AssertionError) as raised:
        events.assert_published(**wanted)
    return str(raised.value)


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"type": "order.paid"},
        {"key": "7"},
        {"topic": "orders"},
        {"count": 1},
        {"data": {"total": 12}},
        {"type": "order.paid", "key": "7", "topic": "orders", "count": 1, "data": {"total": 12}},
    ],
)
def test_what_is_there_is_returned(wanted: dict[str, Any]) -> None:
    event = paid()
    assert Events(event).assert_published(**wanted) == [event]


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "order.sent"},
        {"key": "8"},
        {"key": None},
        {"topic": "invoices"},
        {"count": 0},
        {"count": 2},
        {"data": {"total": 13}},
        {"data": None},
    ],
)
def test_what_is_not_there_fails(wanted: dict[str, Any]) -> None:
    failure(Events(paid()), **wanted)


def test_none_wanted_and_none_there_is_right() -> None:
    assert Events().assert_published(count=0) == []


def test_no_key_is_a_key_that_can_be_asked_for() -> None:
    keyless = paid(None)
    assert Events(paid(), keyless).assert_published(key=None) == [keyless]


@pytest.mark.parametrize(("there", "wanted"), [(1, True), (1, 1.0), (0, False), (1, "1")])
def test_values_of_other_types_differ(there: Any, wanted: Any) -> None:
    failure(Events(paid(total=there)), data={"total": wanted})


def test_a_failure_names_what_was_wanted_and_what_was_there() -> None:
    said = failure(Events(paid(), paid("8")), type="order.sent", key="7", count=2)
    assert said.splitlines() == [
        "wanted 2 events of type='order.sent', key='7'; found 0 among the 2 published:",
        "  order.paid  key='7'  topic=orders",
        "  order.paid  key='8'  topic=orders",
    ]


def test_a_failure_shows_no_payload_unless_data_is_wanted() -> None:
    assert "4711" not in failure(Events(paid(total=4711)), type="order.sent")


def test_a_failure_shows_the_lines_of_the_data_that_differ() -> None:
    said = failure(Events(paid("8", 99), paid(total=12)), key="7", data={"total": 13})
    assert said.splitlines()[3:] == [
        "data of order.paid, key='7' (- wanted, + there):",
        "    {",
        '  -   "total": 13',
        '  +   "total": 12',
        "    }",
    ]


def test_a_payload_that_is_no_json_is_said_to_be_none() -> None:
    event = OutboxEvent(topic="a", key="k", type="t", payload=b"\xff", content_type="avro")
    assert "(no JSON: 1 bytes of avro)" in failure(Events(event), data={})


def test_a_tombstone_has_no_data() -> None:
    tombstone = OutboxEvent.tombstone(topic="a", key="k", type="t")
    assert "(a tombstone)" in failure(Events(tombstone), data=None)


def test_a_long_list_is_cut() -> None:
    said = failure(Events(*[paid()] * 25), type="order.sent")
    assert said.splitlines()[-1] == "  ... and 5 more"
