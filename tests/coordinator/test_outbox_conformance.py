"""The outbox of PostgreSQL and the one in memory do and refuse the same on every connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from coordinator import NoTransaction, OutboxEvent
from coordinator.testing import InMemoryOutbox
from tests.coordinator.flavours import FLAVOURS, Flavour, numbered, stored_in

Stored = Callable[[], list[Any]]

# The statement has one form for few events and another for many.
FEW_AND_MANY = pytest.mark.parametrize("count", [1, 2, 8, 9, 100])


@pytest.fixture(params=list(FLAVOURS.values()), ids=list(FLAVOURS))
def flavour(request: pytest.FixtureRequest) -> Flavour:
    """Each kind of connection in turn."""
    chosen: Flavour = request.param
    return chosen


def every_shape() -> list[OutboxEvent]:
    """What must not be taken for something else: none, empty, and bytes of any value."""
    return [
        OutboxEvent(topic="a", key=None, type="no key", payload=b""),
        OutboxEvent(topic="a", key="", type="empty key", payload=b"NULL"),
        OutboxEvent.tombstone(topic="a", key="k", type="tombstone"),
        OutboxEvent(
            topic="a",
            key='{"ключ", NULL}\\',
            type="t é",
            payload=bytes(range(256)),
            content_type="x/y",
            headers={"a": "ü \"'\\{}", "b": "\U0001f600"},
        ),
    ]


@pytest.fixture(params=["PostgreSQL", "in memory"])
def stored(request: pytest.FixtureRequest, database_url: str) -> Iterator[Stored]:
    """Reads what was committed back from the one outbox or the other."""
    if request.param == "PostgreSQL":
        yield lambda: stored_in(database_url)
    else:
        with InMemoryOutbox().installed() as memory:
            yield lambda: list(memory.events)
        assert stored_in(database_url) == []


def fields(row: Any) -> tuple[Any, ...]:
    return (row.id, row.topic, row.key, row.type, row.content_type, row.payload, row.headers)


def test_events_are_committed_with_their_transaction(
    flavour: Flavour, database_url: str, stored: Stored
) -> None:
    flavour.write(database_url, [numbered(3)], True)
    assert len(stored()) == 3


def test_events_are_rolled_back_with_their_transaction(
    flavour: Flavour, database_url: str, stored: Stored
) -> None:
    flavour.write(database_url, [numbered(3)], False)
    assert stored() == []


def test_autocommit_is_refused_and_nothing_is_written(
    flavour: Flavour, database_url: str, stored: Stored
) -> None:
    with pytest.raises(NoTransaction, match="autocommit"):
        flavour.write_in_autocommit(database_url, numbered(1))
    assert stored() == []


@FEW_AND_MANY
def test_positions_follow_the_order_of_the_calls(
    flavour: Flavour, database_url: str, stored: Stored, count: int
) -> None:
    flavour.write(database_url, [numbered(count), numbered(1, first=count)], True)
    assert [row.type for row in stored()] == [f"t{n}" for n in range(count + 1)]


@pytest.mark.parametrize("times", [1, 10], ids=["few", "many"])
def test_every_field_is_stored_as_it_was_given(
    flavour: Flavour, database_url: str, stored: Stored, times: int
) -> None:
    events = [event for _ in range(times) for event in every_shape()]
    flavour.write(database_url, [events], True)
    assert [fields(row) for row in stored()] == [fields(event) for event in events]


def test_events_without_any_key_or_payload_are_no_riddle_to_the_driver(
    flavour: Flavour, database_url: str, stored: Stored
) -> None:
    keyless = [OutboxEvent(topic="a", key=None, type="t", payload=b"") for _ in range(20)]
    deleted = [OutboxEvent.tombstone(topic="a", key="k", type="t") for _ in range(20)]
    flavour.write(database_url, [keyless, deleted], True)
    rows = [(row.key, row.payload) for row in stored()]
    assert rows == [(None, b"")] * 20 + [("k", None)] * 20


def test_no_events_are_no_statement(flavour: Flavour, database_url: str, stored: Stored) -> None:
    # In autocommit a statement would be refused.
    flavour.write_in_autocommit(database_url, [])


def test_what_a_savepoint_takes_back_is_gone(
    flavour: Flavour, database_url: str, stored: Stored
) -> None:
    flavour.write_around_savepoints(database_url)
    assert [row.type for row in stored()] == ["before", "kept", "after"]
