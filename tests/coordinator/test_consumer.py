"""The consumer loop on a real broker: each record takes effect once, in order of its key, through
kills, rebalances and outages."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer as Client
from confluent_kafka import Producer, TopicPartition
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from coordinator import BadInput, WrongUse, release
from coordinator.inbox.consumer import Consumer
from coordinator.inbox.memory import Record
from tests.coordinator.consumer_process import NAME, PROPERTIES, consuming
from tests.coordinator.database import engine_on
from tests.coordinator.records import (
    IMPATIENT,
    effects,
    make_effects,
    parked,
    parked_id,
    refusing,
    write_down,
)
from tests.support.kafka import Broker
from tests.support.proxy import TcpProxy
from tests.support.wait import until

KEYS = [f"key-{number}" for number in range(12)]


@pytest.fixture
def inbox(engine: Engine) -> Engine:
    """The engine, with the table of effects."""
    make_effects(engine)
    return engine


def produce(broker: Broker, topic: str, values: range, keys: list[str] = KEYS) -> None:
    """One record each, of the keys in turn."""
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    for value in values:
        headers: list[tuple[str, str | bytes | None]] = [("ce_id", str(uuid4()))]
        producer.produce(topic, str(value), keys[value % len(keys)], headers=headers)
        producer.poll(0)
    assert producer.flush(30) == 0


def loop(
    engine: Engine,
    broker: Broker,
    topic: str,
    handler: Callable[[Session, Record], object] = write_down,
    **options: Any,
) -> Consumer:
    defaults = {"properties": PROPERTIES, "patience": IMPATIENT, "batch_max": 50}
    return Consumer(
        engine,
        consumer=NAME,
        topics=[topic],
        handler=handler,
        bootstrap_servers=broker.bootstrap_servers,
        **{**defaults, **options},
    )


@contextmanager
def running(consumer: Consumer) -> Iterator[Future[None]]:
    """The loop in a thread; stopped at the end, and what it raised is raised."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(consumer.run)
        try:
            yield done
        finally:
            consumer.stop()
        done.result(30)


def all_once_in_order(engine: Engine, records: int) -> None:
    for number, key in enumerate(KEYS):
        mine = [str(value) for value in range(records) if value % len(KEYS) == number]
        assert effects(engine, key) == mine


def wait_for_effects(engine: Engine, at_least: int, timeout_s: float = 60) -> None:
    until(
        lambda: len(effects(engine)) >= at_least,
        what=f"{at_least} effects",
        timeout_s=timeout_s,
    )


def offsets(broker: Broker, topic: str) -> int:
    """How many records the group has put behind it, by what is committed to Kafka."""
    client = Client({"bootstrap.servers": broker.bootstrap_servers, "group.id": NAME})
    try:
        places = [TopicPartition(topic, number) for number in range(4)]
        return sum(max(place.offset, 0) for place in client.committed(places, timeout=10))
    finally:
        client.close()


def test_each_record_takes_effect_once_in_order_of_its_key(
    inbox: Engine, broker: Broker, topic: str
) -> None:
    produce(broker, topic, range(500))
    with running(loop(inbox, broker, topic)):
        wait_for_effects(inbox, 500)
    all_once_in_order(inbox, 500)


def test_on_the_mock_too(inbox: Engine, mock_broker: Broker) -> None:
    topic = f"orders.{uuid4().hex}"
    mock_broker.create_topic(topic)
    produce(mock_broker, topic, range(200))
    with running(loop(inbox, mock_broker, topic)):
        wait_for_effects(inbox, 200)
    all_once_in_order(inbox, 200)


def test_a_stop_finishes_the_batch_and_keeps_the_offsets(
    inbox: Engine, broker: Broker, topic: str
) -> None:
    produce(broker, topic, range(300))
    consumer: Consumer

    def stop_soon(session: Session, one: Record) -> None:
        write_down(session, one)
        consumer.stop()

    consumer = loop(inbox, broker, topic, stop_soon)
    with running(consumer) as ended:
        ended.result(30)
    done = len(effects(inbox))
    assert 0 < done < 300
    assert offsets(broker, topic) == done


@pytest.mark.parametrize("failpoint", ["inbox.handled:2", "inbox.committed:2"])
def test_a_kill_between_the_commits_loses_and_repeats_nothing(
    inbox: Engine, database_url: str, broker: Broker, topic: str, failpoint: str
) -> None:
    produce(broker, topic, range(300))
    servers = broker.bootstrap_servers
    with consuming(database_url, servers, topic, failpoint) as killed:
        assert killed.wait(30) == -signal.SIGKILL
    before = len(effects(inbox))
    assert 0 < before < 300
    assert offsets(broker, topic) <= before
    with consuming(database_url, servers, topic):
        wait_for_effects(inbox, 300)
    all_once_in_order(inbox, 300)


def test_rebalances_and_a_kill_under_load_lose_and_repeat_nothing(
    inbox: Engine, database_url: str, broker: Broker, topic: str
) -> None:
    """Members come, are killed, and leave, while records come in."""
    arguments = (database_url, broker.bootstrap_servers, topic)
    records = 4_000

    def feed() -> None:
        for start in range(0, records, 100):
            produce(broker, topic, range(start, start + 100))

    with ThreadPoolExecutor(1) as pool, consuming(*arguments) as first:
        feeding = pool.submit(feed)
        wait_for_effects(inbox, 100)
        with consuming(*arguments), consuming(*arguments) as third:
            wait_for_effects(inbox, 1_000)
            first.kill()
            wait_for_effects(inbox, 2_000)
            third.send_signal(signal.SIGTERM)
            assert third.wait(30) == 0
            feeding.result()
            wait_for_effects(inbox, records)
    all_once_in_order(inbox, records)


def test_a_zombie_that_wakes_up_repeats_and_overtakes_nothing(
    inbox: Engine, database_url: str, broker: Broker, topic: str
) -> None:
    """It is frozen with records in hand, another one takes its partitions, and it goes on."""
    arguments = (database_url, broker.bootstrap_servers, topic)
    produce(broker, topic, range(500))
    with consuming(*arguments) as zombie:
        wait_for_effects(inbox, 50)
        zombie.send_signal(signal.SIGSTOP)
        with inbox.begin() as connection:
            # Its transaction, and with it the lock on what it took, would else stand for hours.
            end = (
                "select pg_terminate_backend(pid) from pg_stat_activity where state like 'idle%in%'"
            )
            connection.execute(text(end))
        with consuming(*arguments):
            wait_for_effects(inbox, 500)
            produce(broker, topic, range(500, 600))
            wait_for_effects(inbox, 550)
            zombie.send_signal(signal.SIGCONT)
            produce(broker, topic, range(600, 1_000))
            wait_for_effects(inbox, 1_000)
            zombie.send_signal(signal.SIGTERM)
            assert zombie.wait(30) == 0
    all_once_in_order(inbox, 1_000)


def test_partitions_that_went_away_in_a_pause_flow_again_when_they_come_back(
    inbox: Engine, broker: Broker, topic: str
) -> None:
    """A partition that is paused keeps the pause when it is taken away, and brings it back."""
    paused, heals = Event(), Event()

    def deadlock(session: Session, one: Record) -> None:
        write_down(session, one)
        if not heals.is_set():
            paused.set()
            session.execute(text("do $$ begin raise deadlock_detected; end $$"))

    produce(broker, topic, range(100))
    with running(loop(inbox, broker, topic, deadlock)):
        assert paused.wait(30)
        guest = Client(
            {"bootstrap.servers": broker.bootstrap_servers, "group.id": NAME, **PROPERTIES}
        )
        guest.subscribe([topic])
        until(lambda: guest.poll(0.1) or guest.assignment(), what="the guest to get partitions")
        guest.close()
        heals.set()
        wait_for_effects(inbox, 100, timeout_s=20)
    all_once_in_order(inbox, 100)


def test_poison_is_parked_its_key_held_and_others_flow_until_it_is_released(
    inbox: Engine, broker: Broker, topic: str
) -> None:
    bad = {"5"}

    def handler(session: Session, one: Record) -> None:
        refusing(*bad)(session, one)

    produce(broker, topic, range(60))
    held = [str(value) for value in range(5, 60, len(KEYS))]
    with running(loop(inbox, broker, topic, handler)):
        wait_for_effects(inbox, 60 - len(held))
        until(lambda: len(parked(inbox)) == len(held), what="the key to be parked")
        assert [value for value, _ in parked(inbox)] == held
        bad.clear()
        with Session(inbox) as session, session.begin():
            release(session, parked_id(inbox, "5"), by="ada")
        wait_for_effects(inbox, 60)
    all_once_in_order(inbox, 60)


def test_a_record_without_an_id_is_known_by_its_place(
    inbox: Engine, broker: Broker, topic: str
) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    for ce_id in (b"", b"\xff", b"no uuid"):
        producer.produce(topic, "x", "k", headers=[("ce_id", ce_id)])
    producer.produce(topic, "x", "k")
    producer.flush(30)
    for _ in range(2):
        # Another group has no offsets, and reads all of it again.
        with running(loop(inbox, broker, topic, group_id=f"g-{uuid4()}")):
            wait_for_effects(inbox, 4)
            produce(broker, topic, range(1), ["last"])
            until(lambda: effects(inbox, "last"), what="the last record")
    assert effects(inbox, "k") == ["x"] * 4


def test_a_database_away_for_longer_than_the_poll_interval_costs_neither_records_nor_membership(
    inbox: Engine,
    broker: Broker,
    topic: str,
    database_url: str,
    tcp_proxy: Callable[[str, int], TcpProxy],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "coordinator.inbox")
    port = inbox.url.port or 5432
    proxy = tcp_proxy("127.0.0.1", port)
    through = database_url.replace(f":{port}/", f":{proxy.port}/")
    assert through != database_url
    with engine_on(through, pool_pre_ping=False) as engine, running(loop(engine, broker, topic)):
        produce(broker, topic, range(100))
        wait_for_effects(inbox, 100)
        outage_ends = time.monotonic() + 8
        produce(broker, topic, range(100, 200))
        while time.monotonic() < outage_ends:
            proxy.cut()
        wait_for_effects(inbox, 200)
    all_once_in_order(inbox, 200)
    assert sum("joined" in line for line in caplog.messages) == 1


def test_a_handler_that_commits_stops_the_loop_and_leaves_the_group(
    inbox: Engine, broker: Broker, topic: str
) -> None:
    produce(broker, topic, range(1))
    with pytest.raises(WrongUse, match=r"called session\.commit\(\)"):
        loop(inbox, broker, topic, lambda session, _: session.commit()).run()


def test_batches_grow_while_they_are_fast(inbox: Engine, broker: Broker, topic: str) -> None:
    sizes: list[int] = []
    produce(broker, topic, range(1_000))
    consumer = Consumer(
        inbox,
        consumer=NAME,
        topics=[topic],
        batch_handler=lambda _, records: sizes.append(len(records)),
        bootstrap_servers=broker.bootstrap_servers,
        properties=PROPERTIES,
        batch_max=400,
    )
    with running(consumer):
        until(lambda: sum(sizes) == 1_000, what="all records")
    assert 100 < max(sizes) <= 400


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("consumer", {"consumer": ""}),
        ("topics", {"topics": []}),
        ("topics", {"topics": "orders"}),
        ("topic", {"topics": ["or ders"]}),
        ("batch_max", {"batch_max": 0}),
        ("handler", {"handler": None}),
        ("handler", {"batch_handler": write_down}),
        (r"properties\['enable.auto.commit'\]", {"properties": {"enable.auto.commit": True}}),
        (r"properties\['group.id'\]", {"properties": {"group.id": "x"}}),
        ("properties: librdkafka: No such", {"properties": {"no.such": "x"}}),
        ("properties", {"properties": {"session.timeout.ms": "s3cret"}}),
    ],
)
def test_bad_arguments_are_refused_by_name_and_no_value_is_told(
    engine: Engine, field: str, arguments: dict[str, Any]
) -> None:
    good = {"consumer": "billing", "topics": ["t"], "handler": write_down}
    with pytest.raises(BadInput, match=f"^{field}") as refused:
        Consumer(engine, bootstrap_servers="127.0.0.1:1", **{**good, **arguments})
    assert "s3cret" not in str(refused.value)
