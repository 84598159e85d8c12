"""What only a real broker shows of transactions: a commit without a reply, one that the broker gave
up, an open one that keeps consumers waiting, and the topic of positions."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, not in its __all__
    AdminClient,
    ConfigResource,
)

from coordinator import failpoints
from relay.core.inputs import Acked, Doubtful, Lost, Recovered, Row
from relay.core.reached import Reached
from relay.daemon.clock import monotonic_s
from relay.demo.apache_kafka import ApacheKafka
from relay.errors import Fenced
from relay.kafka import sink as of_sink
from relay.kafka.positions import TAIL_OFFSETS, encoded
from relay.kafka.properties import transactional_properties
from relay.kafka.transactional_sink import TransactionalSink
from tests.support.consume import read_topic
from tests.support.kafka import private_kafka
from tests.support.wait import until

pytestmark = [pytest.mark.real_broker, pytest.mark.timeout(180)]

WORD = Reached("1@1", 1)
TOPIC = "transactions"

MakeSink = Callable[..., TransactionalSink]


@pytest.fixture(scope="module")
def kafka() -> Iterator[ApacheKafka]:
    soon = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500"}
    with private_kafka(soon) as own:
        own.create_topic(TOPIC, 1)
        yield own


@pytest.fixture
def outbox() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def make_sink(kafka: ApacheKafka, outbox: str) -> Iterator[MakeSink]:
    made: list[TransactionalSink] = []

    def make(**properties: str) -> TransactionalSink:
        given = {name.replace("_", "."): value for name, value in properties.items()}
        settings = transactional_properties(kafka.bootstrap_servers, given)
        sink = TransactionalSink(settings, "/test", monotonic_s, lambda _: None)
        sink.enter("one-epoch", outbox)
        made.append(sink)
        return sink

    yield make
    failpoints.disarm()
    for sink in made:
        sink.discard()


def event(outbox: str, n: int = 1) -> Row:
    event_id = f"{outbox[:8]}-0000-0000-0000-{n:012d}"
    return (n, event_id, TOPIC, "k", "t", "text/plain", b"x", "2026-11-24T20:43:39Z", None)


def seen(kafka: ApacheKafka, outbox: str) -> int:
    """How many of the outbox's events a consumer of what is committed has."""
    records = read_topic(kafka.bootstrap_servers, TOPIC, isolation="read_committed")
    ids = [(one.header("ce_id") or b"").decode() for one in records]
    return sum(one.startswith(outbox[:8]) for one in ids)


def always() -> bool:
    return True


def test_a_commit_whose_reply_is_lost_is_settled_by_the_next_recovery(
    kafka: ApacheKafka, make_sink: MakeSink, outbox: str
) -> None:
    sink = make_sink()
    sink.recover(always)
    # It asks a few times while the commit has no reply, and is then told to give up.
    patience = iter([True] * 4)
    committing = threading.Event()

    def freeze() -> None:
        kafka.suspend()
        committing.set()

    def keep_going() -> bool:
        return next(patience, False) if committing.is_set() else True

    failpoints.arm("relay.before_commit", freeze)
    outcome = sink.send([event(outbox)], 1, WORD, keep_going)
    kafka.resume()

    assert outcome == Lost()
    found = sink.recover(always)
    assert isinstance(found, Recovered)
    assert seen(kafka, outbox) == (1 if found.reached == WORD else 0)
    if found.reached is None:
        assert sink.send([event(outbox)], 1, WORD, always) == Acked()
    assert seen(kafka, outbox) == 1


def test_a_transaction_that_the_broker_gave_up_is_not_seen_and_its_producer_is_fenced(
    kafka: ApacheKafka, make_sink: MakeSink, outbox: str
) -> None:
    sink = make_sink(transaction_timeout_ms="1500", socket_timeout_ms="1500")
    sink.recover(always)
    failpoints.arm("relay.before_commit", lambda: _wait_for_the_marker(kafka))

    with pytest.raises(Fenced, match="fenced by the broker"):
        sink.send([event(outbox)], 1, WORD, always)
    assert seen(kafka, outbox) == 0
    assert sink.recover(always) == Recovered(None)


def _wait_for_the_marker(kafka: ApacheKafka) -> None:
    """Until consumers of what is committed come past the transaction that was open."""
    until(
        lambda: _end(kafka, "read_committed") == _end(kafka, "read_uncommitted"),
        what="the broker to give the transaction up",
    )


def _end(kafka: ApacheKafka, isolation: str) -> int:
    settings = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "group.id": "test",
        "isolation.level": isolation,
        "log_level": 0,
    }
    with closing(Consumer(settings)) as consumer:
        return consumer.get_watermark_offsets(TopicPartition(TOPIC, 0), timeout=10.0)[1]


def test_what_was_left_open_is_aborted_and_consumers_go_on(
    kafka: ApacheKafka, make_sink: MakeSink, outbox: str
) -> None:
    dead = make_sink()
    dead.recover(always)
    failpoints.arm("relay.before_commit", _die)
    with pytest.raises(InterruptedError):
        dead.send([event(outbox)], 1, WORD, always)
    successor = make_sink()

    assert successor.recover(always) == Recovered(None)
    assert successor.send([event(outbox, 2)], 1, WORD, always) == Acked()
    assert seen(kafka, outbox) == 1


def _die() -> None:
    raise InterruptedError


def test_the_last_word_is_found_behind_many_aborted_transactions(
    kafka: ApacheKafka, make_sink: MakeSink, outbox: str
) -> None:
    sink = make_sink()
    sink.recover(always)
    sink.send([event(outbox)], 1, WORD, always)
    name = f"outbox-relay-{outbox}"
    other = Producer(
        {"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": name, "log_level": 0}
    )
    other.init_transactions(10)
    other.begin_transaction()
    for n in range(TAIL_OFFSETS + 1):
        other.produce(name, encoded(Reached("another", n)), name, 0)
    other.flush(10)
    other.abort_transaction(10)

    assert make_sink().recover(always) == Recovered(WORD)


def test_the_topic_of_positions_is_made_compacted_and_of_one_partition(
    kafka: ApacheKafka, make_sink: MakeSink, outbox: str
) -> None:
    make_sink().recover(always)

    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
    name = f"outbox-relay-{outbox}"
    resource = ConfigResource(ConfigResource.Type.TOPIC, name)
    found: dict[str, Any] = admin.describe_configs([resource])[resource].result(10)
    assert found["cleanup.policy"].value == "compact"
    assert len(admin.list_topics(name, 10).topics[name].partitions) == 1


def test_a_producer_is_not_ended_before_the_broker_has_answered_what_is_on_its_way(
    kafka: ApacheKafka, make_sink: MakeSink, outbox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, ended_while_away = threading.Event(), list[bool]()

    class SaysWhenItEnds(Producer):
        def __del__(self) -> None:
            ended_while_away.append(away.is_set())

    sink = make_sink(batch_num_messages="1")
    monkeypatch.setattr(of_sink, "Producer", SaysWhenItEnds)
    sink.enter("one-epoch", outbox)
    sink.recover(always)
    before = _end(kafka, "read_uncommitted")

    def freeze() -> None:
        until(lambda: _end(kafka, "read_uncommitted") > before, what="records on their way")
        kafka.suspend()
        away.set()

    failpoints.arm("relay.transaction_open", freeze)
    patience = iter([True, True])
    page = [event(outbox, n) for n in range(1, 5_000)]
    try:
        assert sink.send(page, 1, WORD, lambda: next(patience, False)) == Lost()
    finally:
        away.clear()
        kafka.resume()
    until(lambda: ended_while_away, what="the producer to end once it was answered")
    assert ended_while_away == [False]
    assert sink.recover(always) == Recovered(None)


def test_a_broker_that_is_away_is_in_doubt_and_not_an_error(
    kafka: ApacheKafka, make_sink: MakeSink
) -> None:
    sink = make_sink()
    kafka.suspend()
    try:
        assert isinstance(sink.recover(always), Doubtful)
    finally:
        kafka.resume()
