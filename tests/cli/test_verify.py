"""`relay verify`: the two witnesses agree, and each way in which they may not is seen."""

from __future__ import annotations

import json
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.cli.command import Outcome, relay
from tests.relay.events import connected, emit, value_of
from tests.support.consume import Record, read_topic
from tests.support.kafka import Broker


class Outbox:
    """A database and a topic, and ways to do harm to either."""

    def __init__(self, url: str, broker: Broker, topic: str) -> None:
        self.url, self.broker, self.topic = url, broker, topic

    def relay(self, *args: str) -> Outcome:
        return relay(*args, database_url=self.url, bootstrap_servers=self.broker.bootstrap_servers)

    def publish(self, *keys: str | None, count: int = 1) -> list[str]:
        ids = [one for key in keys for one in emit(self.url, self.topic, key=key, count=count)]
        outcome = self.relay("run", "--until-drained")
        assert outcome.exit_code == 0, outcome.said
        return ids

    def read(self) -> list[Record]:
        return read_topic(self.broker.bootstrap_servers, self.topic)

    def produce(self, record: Record, **changed: str | None) -> None:
        """The record once more, by hand, with other headers; None leaves one out."""
        headers = {name: value for name, value in record.headers if name not in changed}
        headers |= {name: value.encode() for name, value in changed.items() if value is not None}
        producer = Producer({"bootstrap.servers": self.broker.bootstrap_servers})
        producer.produce(
            self.topic, record.value, record.key, record.partition, headers=list(headers.items())
        )
        producer.flush()

    def run(self, statement: str) -> None:
        with connected(self.url) as connection:
            connection.execute(statement.encode())

    def verify(self, *args: str) -> dict[str, Any]:
        outcome = self.relay("verify", "--json", *(args or ("--since", "1h")))
        found: dict[str, Any] = json.loads(outcome.out)
        assert outcome.exit_code == (0 if found["ok"] else 1), outcome.said
        return found

    def wrong(self, *args: str) -> list[tuple[str, str]]:
        return [(one["invariant"], one["event_id"]) for one in self.verify(*args)["violations"]]


@pytest.fixture
def outbox(database_url: str, broker: Broker, topic: str) -> Outbox:
    return Outbox(database_url, broker, topic)


def test_what_was_published_is_verified(outbox: Outbox) -> None:
    outbox.publish("a", "b", "", None, count=20)
    outbox.publish("a", "b")
    found = outbox.verify()
    assert (found["ok"], found["events"], found["in_kafka"]) == (True, 82, 82)
    assert {name: found[name] for name in ("lost", "phantoms", "duplicates", "foreign")} == {
        "lost": 0,
        "phantoms": 0,
        "duplicates": 0,
        "foreign": 0,
    }


def test_an_event_that_is_not_in_its_topic_is_lost(outbox: Outbox) -> None:
    """As its owner alone can: a row of a transaction that the cursor has passed."""
    outbox.publish("a")
    outbox.run(
        "insert into outbox.event (txid, id, topic, key, type, payload)"
        " select txid, '00000000-0000-4000-8000-000000000001', topic, key, type, payload"
        " from outbox.event"
    )
    assert outbox.wrong() == [("I1", "00000000-0000-4000-8000-000000000001")]


def test_a_record_that_no_row_knows_is_invented(outbox: Outbox) -> None:
    outbox.publish("a")
    invented = "00000000-0000-4000-8000-000000000002"
    outbox.produce(outbox.read()[0], ce_id=invented)
    assert outbox.wrong() == [("I2", invented)]


def test_one_without_a_place_is_invented_too(outbox: Outbox) -> None:
    outbox.publish("a")
    invented = "00000000-0000-4000-8000-000000000002"
    outbox.produce(outbox.read()[0], ce_id=invented, ce_sequence=None)
    assert outbox.wrong() == [("I2", invented)]


def test_events_of_a_key_in_another_order_are_seen(outbox: Outbox) -> None:
    """The rows change their places, as nothing can do it to records."""
    first, second = outbox.publish("a", count=2)
    outbox.run(f"update outbox.event set id = gen_random_uuid() where id = '{first}'")
    outbox.run(f"update outbox.event set id = '{first}' where id = '{second}'")
    outbox.run(f"update outbox.event set id = '{second}' where id not in ('{first}')")
    assert ("I3", second) in outbox.wrong()


def test_other_bytes_are_seen(outbox: Outbox) -> None:
    (event_id,) = outbox.publish("a")
    outbox.run("update outbox.event set payload = 'changed'")
    assert outbox.wrong() == [("I6", event_id)]


def test_a_record_in_a_wrong_partition_is_seen(outbox: Outbox) -> None:
    outbox.publish("a")
    (record,) = outbox.read()
    wrong = record.partition ^ 1
    outbox.produce(Record(record.topic, wrong, 0, record.key, record.value, record.headers, 0))
    assert {name for name, _ in outbox.wrong()} == {"I5", "I7"}


def test_repeats_replays_and_what_is_not_ours_are_counted_and_no_fault(outbox: Outbox) -> None:
    outbox.publish("a")
    (record,) = outbox.read()
    outbox.produce(record)
    outbox.produce(record, ce_source="/another", ce_id="x")
    outbox.produce(record, ce_source=None, ce_id=None)
    outbox.relay("replay", "--key", "a")
    found = outbox.verify()
    assert (found["duplicates"], found["foreign"], found["replayed"]) == (1, 2, 1)
    assert found["ok"]


def test_a_replay_with_other_bytes_is_seen(outbox: Outbox) -> None:
    (event_id,) = outbox.publish("a")
    outbox.produce(outbox.read()[0], ce_replay="*", ce_type="another")
    assert outbox.wrong() == [("I6", event_id)]


def test_what_is_published_after_the_beginning_is_no_part_of_it(outbox: Outbox) -> None:
    outbox.publish("a")
    later = outbox.read()[0]
    outbox.produce(later, ce_id="00000000-0000-4000-8000-000000000003", ce_sequence=f"{9:019d}.9")
    emit(outbox.url, outbox.topic)
    found = outbox.verify()
    assert (found["ok"], found["events"]) == (True, 1)


def test_it_looks_at_the_time_that_it_is_asked_for_only(outbox: Outbox) -> None:
    outbox.publish("a")
    query = (
        "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    )
    between = value_of(outbox.url, query)
    outbox.publish("a", count=2)
    assert outbox.verify("--since", between)["events"] == 2
    assert outbox.verify("--since", "1h", "--until", between)["events"] == 1
    assert "nothing was published" in outbox.relay("verify", "--since", "0s").out


def test_parked_events_are_not_lost(outbox: Outbox) -> None:
    outbox.publish("a")
    outbox.run(
        "insert into outbox.event (txid, id, topic, key, type) select txid, gen_random_uuid(),"
        " topic, 'b', type from outbox.event"
    )
    outbox.run(
        "insert into outbox.parked"
        " (position, id, topic, key, type, content_type, headers, created_at, reason)"
        " select position, id, topic, key, type, content_type, headers, created_at, 'r'"
        " from outbox.event where key = 'b'"
    )
    found = outbox.verify()
    assert (found["ok"], found["unpublished"]) == (True, 1)


def test_an_event_that_is_written_again_under_the_id_of_a_discarded_one_is_no_invention(
    outbox: Outbox,
) -> None:
    """It was too large, say, and was mended."""
    (event_id,) = outbox.publish("a")
    outbox.run(
        "insert into outbox.parked_action (action, who, why, topic, key, events, positions)"
        f" values ('discard', 'w', 'w', 't', 'a', array['{event_id}'::uuid], array[0])"
    )
    found = outbox.verify()
    assert (found["ok"], found["unpublished"]) == (True, 0)


def test_a_record_whose_row_is_kept_no_longer_is_not_judged(outbox: Outbox) -> None:
    outbox.publish("a")
    outbox.run("select setval('outbox.event_position', (1 << 20) + 5)")
    outbox.publish("a")
    outbox.run("truncate only outbox.event_0")
    found = outbox.verify()
    assert (found["ok"], found["events"], found["unknown"]) == (True, 1, 1)


def test_a_released_event_of_an_earlier_time_is_not_judged(outbox: Outbox) -> None:
    outbox.publish("a")
    another = "00000000-0000-4000-8000-000000000004"
    outbox.produce(outbox.read()[0], ce_id=another, ce_outboxreleased="true")
    found = outbox.verify()
    assert (found["ok"], found["unknown"]) == (True, 1)


@pytest.mark.real_broker
def test_what_the_topic_has_removed_is_said_and_not_called_lost(outbox: Outbox) -> None:
    outbox.publish("a", "b", count=3)
    partition = next(one.partition for one in outbox.read() if one.key == b"a")
    admin = AdminClient({"bootstrap.servers": outbox.broker.bootstrap_servers})
    (done,) = admin.delete_records([TopicPartition(outbox.topic, partition, 2)]).values()
    done.result()
    found = outbox.verify()
    assert (found["ok"], found["removed_by_topic"]) == (True, 2)


@pytest.mark.real_broker
def test_what_compaction_removed_is_not_called_lost(
    database_url: str, broker: Broker, topic: str
) -> None:
    """The record is gone, as a row says that it was there; a newer one of its key is left."""
    compacted = f"{topic}.compacted"
    broker.create_topic(compacted, config={"cleanup.policy": "compact"})
    outbox = Outbox(database_url, broker, compacted)
    outbox.run("select setval('outbox.event_position', 5000)")
    outbox.publish("a", "b")
    outbox.run(
        "insert into outbox.event (position, txid, topic, key, type) overriding system value"
        " select position - 1000, txid, topic, key, type from outbox.event where key = 'a'"
    )
    found = outbox.verify()
    assert (found["ok"], found["removed_by_topic"]) == (True, 1)


def test_a_topic_that_is_missing_has_lost_all(outbox: Outbox) -> None:
    outbox.publish("a")
    outbox.run("update outbox.event set topic = topic || '.missing'")
    found = outbox.verify()
    assert (found["lost"], found["missing_topics"]) == (1, [f"{outbox.topic}.missing"])


def test_a_person_reads_what_was_found(outbox: Outbox) -> None:
    (event_id,) = outbox.publish("a")
    said = outbox.relay("verify", "--since", "1h").out
    assert said.splitlines()[1:] == [
        "events     1",
        "in Kafka   1",
        "verified   nothing lost, invented, reordered or changed",
    ]
    outbox.run("update outbox.event set payload = 'changed'")
    outcome = outbox.relay("verify", "--since", "1h")
    assert outcome.exit_code == 1
    assert "WRONG      1 with other bytes\n" in outcome.out
    assert f"I6: event {event_id} key 'a' at {outbox.topic}[" in outcome.out
    assert outcome.out.endswith("verified   NOT\n")


def test_records_of_another_envelope_are_refused_by_the_name_of_the_variable() -> None:
    outcome = relay(
        "verify",
        "--since",
        "1h",
        database_url="host=127.0.0.1",
        bootstrap_servers="127.0.0.1:1",
        RELAY_ENVELOPE="debezium",
    )
    assert (outcome.exit_code, "RELAY_ENVELOPE: is debezium" in outcome.err) == (78, True)
