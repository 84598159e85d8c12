"""F13: a leader is frozen in the middle of a page and wakes up after another took over; between
that, leaders and the broker are killed. A consumer with `marks` takes each event once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from random import Random

import psycopg
import pytest
from confluent_kafka import Consumer, TopicPartition
from sqlalchemy.orm import Session

from coordinator.inbox.marks import Marks
from coordinator.inbox.memory import Record
from relay.demo.apache_kafka import ApacheKafka
from tests.coordinator.database import engine_on
from tests.support import consume
from tests.support.history import PARTITIONS, Ledger, end_lease, prove
from tests.support.processes import RelayProcess, StartRelay
from tests.support.wait import until
from tests.support.workload import KEYS, Writer, writing

pytestmark = [pytest.mark.real_broker, pytest.mark.timeout(300)]

FAULTS = ("zombie", "kill", "zombie", "broker", "zombie")
BACKLOG = 8_000
TOPIC = "f13"


def test_marks_take_what_the_ids_say_is_new(
    outbox_url: str, own_kafka: ApacheKafka, relay_process: StartRelay
) -> None:
    ledger, dice = Ledger(TOPIC), Random(13)
    own_kafka.create_topic(TOPIC)

    def start() -> RelayProcess:
        # So that most of a page is still queued when its first records have arrived.
        small = {"RELAY_KAFKA_BATCH_NUM_MESSAGES": "10"}
        return relay_process(outbox_url, own_kafka.bootstrap_servers, **small)

    leader, standby = start(), start()
    with (
        closing(Writer("backlog", outbox_url, ledger)) as writer,
        writing(outbox_url, ledger, writers=2),
    ):
        for fault in FAULTS:
            written = _records_in(own_kafka)
            writer.backlog(BACKLOG, sorted(KEYS))
            some = written + dice.randint(1, BACKLOG // 4)
            until(lambda some=some: _records_in(own_kafka) > some, what="a page under way")  # type: ignore[misc]  # bound now
            if fault == "broker":
                own_kafka.kill()
                own_kafka.start()
                continue
            leader.kill() if fault == "kill" else leader.suspend()
            end_lease(outbox_url)
            _wait_for_windows(outbox_url, later=3)
            leader.resume() if fault == "zombie" else None
            leader, standby = standby, start() if fault == "kill" else leader
    proof = prove(ledger, outbox_url, own_kafka.bootstrap_servers, max_duplicates=None)

    log = [_record(one) for one in proof.records]
    new = list(_new_by_id(log))
    assert new.count(False) == proof.verdict.duplicates > 0
    assert _of_an_earlier_window(log), "no relay that woke up sent what it still had"
    assert list(_above_the_mark(log)) == new
    assert _taken(outbox_url, log) == new


def _wait_for_windows(url: str, later: int) -> None:
    """Wait until the new leader has finished the open window, and some after it."""
    newest = "select max(number) from outbox.window"
    with psycopg.connect(url, autocommit=True) as connection:
        ((number,),) = connection.execute(newest).fetchall()
        until(
            lambda: connection.execute(newest).fetchall()[0][0] > number + later,
            what="windows of the next leader",
        )


def _records_in(kafka: ApacheKafka) -> int:
    """How many records the topic has."""
    settings = {"bootstrap.servers": kafka.bootstrap_servers, "group.id": "f13", "log_level": 0}
    with closing(Consumer(settings)) as consumer:
        places = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
        return sum(consumer.get_watermark_offsets(place, timeout=10.0)[1] for place in places)


def _record(one: consume.Record) -> Record:
    return Record(
        one.topic, one.partition, one.offset, one.key, one.value, one.headers, one.timestamp
    )


def _new_by_id(log: Sequence[Record]) -> Iterator[bool]:
    """The truth: an event is new where its id is seen for the first time."""
    known = set()
    for record in log:
        yield record.event_id not in known
        known.add(record.event_id)


def _above_the_mark(log: Sequence[Record]) -> Iterator[bool]:
    """What the claim says: in each partition first appearances rise in place."""
    marks: dict[int, str] = {}
    for record in log:
        mark, place = marks.get(record.partition, ""), record.place or ""
        yield place > mark
        marks[record.partition] = max(mark, place)


def _of_an_earlier_window(log: Sequence[Record]) -> int:
    """How many records stand behind one of a later window: a new leader was there before them."""
    windows: dict[int, str] = {}
    late = 0
    for record in log:
        newest, window = windows.get(record.partition, ""), (record.place or "")[:19]
        late += window < newest
        windows[record.partition] = max(newest, window)
    return late


def _taken(url: str, log: Sequence[Record]) -> list[bool]:
    answers: list[bool] = []
    rest, dice = iter(log), Random(1)
    with engine_on(url) as engine:
        while batch := list(islice(rest, dice.randint(1, 3_000))):
            with Session(engine) as session, session.begin():
                answers += Marks().take(session, "billing", batch)
    return answers
