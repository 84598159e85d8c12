"""What is known of a limit in advance: never more than the broker itself would say."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from relay.core.envelope import envelope
from relay.core.inputs import Acked, Refused, Row
from relay.core.reached import Reached
from relay.kafka.limits import SUSPECT_BYTES, Limits, record_bytes_min
from relay.kafka.properties import producer_properties
from relay.kafka.sink import KafkaSink
from tests.kafka.parking import LIMIT_BYTES, make_narrow, widen
from tests.support.kafka import Broker

NUMBER = 1
REACHED = Reached("1@1", 999)
HEADERS = '{"traceparent": "00-0-1-01", "more": "text"}'
ROOM_BYTES = 64
"""What the least size may fall short of the real one: lengths that take more than a byte."""


def row(topic: str, payload: bytes | None, position: int = 1) -> Row:
    event_id = f"00000000-0000-0000-0000-{position:012d}"
    return (position, event_id, topic, "k", "t", "c", payload, "2026-01-01T00:00:00Z", HEADERS)


def sized(topic: str, size: int) -> Row:
    """An event that takes at least `size` bytes alone in a batch."""
    empty = row(topic, b"")
    return row(topic, b"x" * (size - record_bytes_min(empty, envelope("/t", "", NUMBER)(empty))))


def go_on() -> bool:
    return True


MakeSink = Callable[..., KafkaSink]


@pytest.fixture
def make_sink(broker: Broker) -> Iterator[MakeSink]:
    made: list[KafkaSink] = []

    def make(**properties: str) -> KafkaSink:
        all_of_them = producer_properties(broker.bootstrap_servers, properties)
        made.append(KafkaSink(all_of_them, "/t", lambda: 0.0, on_trouble=lambda _: None))
        return made[-1]

    yield make
    for one in made:
        one.discard()


def test_small_events_and_tombstones_are_not_looked_at() -> None:
    limits = Limits({"message.max.bytes": 1_048_576})
    rows = [row("t", None), row("t", b""), row("t", b"x" * SUSPECT_BYTES)]

    assert limits.suspects(rows) == []


def test_the_clients_own_limit_is_known_without_a_broker() -> None:
    limits = Limits({"message.max.bytes": 1_000})

    why = limits.why_too_large(row("t", b"x" * 1_000), [])
    assert why == "1001 bytes, and the client's message.max.bytes is 1000"


@pytest.mark.real_broker
@pytest.mark.parametrize(
    ("size", "expected"), [(LIMIT_BYTES + 1, Refused), (LIMIT_BYTES - ROOM_BYTES, Acked)]
)
def test_what_is_said_to_be_too_large_is_refused_by_the_broker_itself(
    broker: Broker, make_sink: MakeSink, size: int, expected: type
) -> None:
    topic = make_narrow(broker)
    sink = make_sink()
    sink._limits._compresses = True  # which leaves the judgement to the broker

    assert isinstance(sink.send([sized(topic, size)], NUMBER, REACHED, go_on), expected)


@pytest.mark.real_broker
def test_the_event_is_named_before_anything_is_handed_over(
    broker: Broker, make_sink: MakeSink
) -> None:
    topic = make_narrow(broker)
    large = sized(topic, LIMIT_BYTES + 1)
    rows = [row(topic, b"", 7), (8, *large[1:]), row(topic, b"", 9)]

    refused = make_sink().send(rows, NUMBER, REACHED, go_on)

    assert isinstance(refused, Refused)
    assert (refused.position, refused.passing) == (8, False)


@pytest.mark.real_broker
def test_a_limit_that_was_raised_is_learned_before_an_event_is_refused_for_it(
    broker: Broker, make_sink: MakeSink
) -> None:
    topic = make_narrow(broker)
    sink = make_sink()
    assert isinstance(sink.send([sized(topic, LIMIT_BYTES + 1)], NUMBER, REACHED, go_on), Refused)
    widen(broker, topic)

    assert isinstance(sink.send([sized(topic, LIMIT_BYTES + 1)], NUMBER, REACHED, go_on), Acked)


@pytest.mark.real_broker
def test_where_the_client_compresses_the_broker_judges(broker: Broker, make_sink: MakeSink) -> None:
    topic = make_narrow(broker)
    sink = make_sink(**{"compression.type": "gzip"})

    assert isinstance(sink.send([sized(topic, LIMIT_BYTES + 1)], NUMBER, REACHED, go_on), Acked)
