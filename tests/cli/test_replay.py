"""`relay replay`: what was published comes again, marked, in its order, and nothing else does."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from tests.cli.command import Outcome, relay
from tests.relay.events import connected, emit, idempotency_key, value_of
from tests.support.consume import Record, read_topic
from tests.support.kafka import Broker

PARK = """
    insert into outbox.parked
        (position, id, topic, key, type, content_type, headers, created_at, reason)
    select position, id, topic, key, type, content_type, headers, created_at, 'r'
    from outbox.event where key = 'a'"""
DISCARD = """
    insert into outbox.parked_action (action, who, why, topic, key, events, positions)
    select 'discard', 'w', 'w', topic, key, array[id], array[position]
    from outbox.event where key = 'a'"""


class Outbox:
    """A database and a topic; whatever is published is read back."""

    def __init__(self, url: str, broker: Broker, topic: str) -> None:
        self.url, self.broker, self.topic = url, broker, topic

    def emit(self, *keys: str | None, count: int = 1) -> list[str]:
        return [one for key in keys for one in emit(self.url, self.topic, key=key, count=count)]

    def relay(self, *args: str) -> Outcome:
        return relay(*args, database_url=self.url, bootstrap_servers=self.broker.bootstrap_servers)

    def publish(self) -> None:
        outcome = self.relay("run", "--until-drained")
        assert outcome.exit_code == 0, outcome.said

    def replay(self, *args: str) -> dict[str, Any]:
        outcome = self.relay("replay", "--json", *args)
        assert outcome.exit_code == 0, outcome.said
        found: dict[str, Any] = json.loads(outcome.out)
        return found

    def read(self, topic: str = "") -> list[Record]:
        return read_topic(self.broker.bootstrap_servers, topic or self.topic)

    def replayed(self, topic: str = "") -> list[Record]:
        return [one for one in self.read(topic) if dict(one.headers).get("ce_replay") is not None]


@pytest.fixture
def outbox(database_url: str, broker: Broker, topic: str) -> Outbox:
    return Outbox(database_url, broker, topic)


def _without_mark(record: Record) -> tuple[object, ...]:
    headers = [(name, value) for name, value in record.headers if name != "ce_replay"]
    return record.partition, record.key, record.value, headers


def test_a_replayed_event_is_the_one_of_before_with_one_header_more(outbox: Outbox) -> None:
    with connected(outbox.url) as connection:
        connection.execute(
            "select outbox.emit(%s, k, 'a.b', '\\x00ff', '{\"x\": \"é\"}')"
            " from unnest(array['a', 'b', '', null]) k",
            (outbox.topic,),
        )
        connection.execute("select outbox.emit(%s, 'a', 'a.b', null)", (outbox.topic,))
    outbox.publish()
    assert outbox.replay("--since", "1h")["replayed"] == 5
    again = outbox.replayed()
    live = [one for one in outbox.read() if one not in again]
    by_id = {idempotency_key(one): one for one in live}
    assert len(again) == 5
    for record in again:
        assert record.header("ce_replay") == b"*"
        assert _without_mark(record) == _without_mark(by_id[idempotency_key(record)])


def test_events_come_in_the_order_of_their_publication(outbox: Outbox) -> None:
    """A transaction that committed late has a low position and a late window."""
    with psycopg.connect(outbox.url) as late:
        late.execute("select outbox.emit(%s, 'k', 'late', '')", (outbox.topic,))
        outbox.emit("k", count=3)
        outbox.publish()
    outbox.publish()
    live = [idempotency_key(one) for one in outbox.read()]
    outbox.replay("--key", "k")
    assert [idempotency_key(one) for one in outbox.replayed()] == live


def test_older_than_the_log_of_windows_they_come_by_milestones(outbox: Outbox) -> None:
    for _ in range(3):
        outbox.emit("k", count=2)
        outbox.publish()
    newest = "(select max(number) from outbox.window)"
    with connected(outbox.url) as connection:
        connection.execute(
            "insert into outbox.milestone (number, snapshot, published_at)"
            " select number, snapshot, stored_at from outbox.window where number = 1 and step = 0"
            " on conflict do nothing"
        )
        connection.execute(f"delete from outbox.window where number < {newest} - 1".encode())
    live = [idempotency_key(one) for one in outbox.read()]
    outbox.replay("--topic", outbox.topic)
    assert [idempotency_key(one) for one in outbox.replayed()] == live


def test_events_that_are_not_published_are_not_replayed(outbox: Outbox) -> None:
    published = outbox.emit("a", "b")
    outbox.publish()
    outbox.emit("a", "b")
    assert outbox.replay("--since", "1h")["chosen"] == 2
    assert {idempotency_key(one) for one in outbox.replayed()} == set(published)


@pytest.mark.parametrize("by", ["key", "type", "id", "topic"])
def test_events_are_chosen_by_their_fields(outbox: Outbox, by: str) -> None:
    first, _, last = outbox.emit("a", "b", "c")
    outbox.publish()
    with_value = {"key": "c", "type": "thing.happened", "id": last, "topic": outbox.topic}
    found = outbox.replay(f"--{by}", with_value[by])
    assert found["topics"] == {outbox.topic: 1 if by in ("key", "id") else 3}
    assert idempotency_key(outbox.replayed()[-1]) in {first, last} or by in ("type", "topic")


def test_until_ends_before_what_was_published_from_then_on(outbox: Outbox) -> None:
    first = outbox.emit("k")
    outbox.publish()
    query = (
        "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    )
    between = value_of(outbox.url, query)
    second = outbox.emit("k")
    outbox.publish()
    outbox.replay("--until", between)
    assert [idempotency_key(one) for one in outbox.replayed()] == first
    outbox.replay("--since", between)
    assert [idempotency_key(one) for one in outbox.replayed()] == first + second


def test_it_names_whom_it_is_for_and_goes_to_another_topic(outbox: Outbox) -> None:
    outbox.emit("a", count=3)
    outbox.publish()
    elsewhere = f"{outbox.topic}.again"
    outbox.broker.create_topic(elsewhere)
    outbox.replay("--key", "a", "--for", "billing", "--to-topic", elsewhere)
    assert [one.header("ce_replay") for one in outbox.read(elsewhere)] == [b"billing"] * 3
    assert outbox.replayed() == []


def test_it_goes_on_behind_a_place(outbox: Outbox) -> None:
    ids = outbox.emit("k", count=5)
    outbox.publish()
    places = sorted(one.header("ce_sequence") or b"" for one in outbox.read())
    found = outbox.replay("--key", "k", "--after", places[1].decode())
    assert [idempotency_key(one) for one in outbox.replayed()] == ids[2:]
    assert found["gone"] == 0


@pytest.mark.parametrize("fate", ["parked", "discarded"])
def test_what_never_was_published_is_not_replayed(outbox: Outbox, fate: str) -> None:
    ids = outbox.emit("a", "b")
    outbox.publish()
    statement = PARK if fate == "parked" else DISCARD
    with connected(outbox.url) as connection:
        connection.execute(statement.encode())
    found = outbox.replay("--since", "1h")
    assert (found["replayed"], found["unpublished"], found["gone"]) == (1, 1, 0)
    assert [idempotency_key(one) for one in outbox.replayed()] == ids[1:]


def test_a_rate_is_kept(outbox: Outbox) -> None:
    """Ten at once, ten times a second; the first ten may take longer, for the connection."""
    outbox.emit("k", count=60)
    outbox.publish()
    outbox.replay("--key", "k", "--rate", "100/s")
    times = [one.timestamp for one in outbox.replayed()]
    assert times[-1] - times[0] >= 390


def test_a_rehearsal_says_what_would_be_replayed(outbox: Outbox) -> None:
    outbox.emit("a", count=3)
    outbox.publish()
    outcome = outbox.relay("replay", "--topic", outbox.topic, "--dry-run")
    assert outcome.exit_code == 0
    assert outcome.out.startswith(f"chosen     3 events: {outbox.topic} 3\npublished  ")
    assert "replayed" not in outcome.out
    assert outbox.replayed() == []


def test_what_the_broker_refuses_stops_it_with_the_command_to_go_on(outbox: Outbox) -> None:
    outbox.emit("a", count=3)
    outbox.publish()
    missing = f"{outbox.topic}.missing"
    outcome = outbox.relay("replay", "--key", "a", "--to-topic", missing)
    assert outcome.exit_code == 1
    assert f"STOPPED    topic {missing}: the topic does not exist" in outcome.out
    assert f"relay replay --key a --to-topic {missing}\n" in outcome.out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "say which: --since, --until, --topic, --key, --type or --id"),
        (("--since", "yesterday"), "is neither a time"),
        (("--key", "a", "--rate", "fast"), "events a second"),
        (("--key", "a", "--after", "12"), "WINDOW.POSITION"),
        (("--key", "a", "--for", "a\nb"), "printable"),
        (("--key", "a", "--to-topic", "a b"), "topic: must be"),
    ],
)
def test_a_mistake_on_the_command_line_is_named(args: tuple[str, ...], said: str) -> None:
    outcome = relay("replay", *args)
    assert (outcome.exit_code, said in outcome.said) == (2, True), outcome.said
