"""What the tests take for granted of their brokers, shown on the mock and on the real one."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError, Producer

from relay.demo.apache_kafka import ApacheKafka
from relay.demo.kept_process import ServiceFailed
from relay.demo.mock_broker import MockBroker
from tests.support.consume import read_topic, topic_reader
from tests.support.kafka import Broker
from tests.support.processes import alive
from tests.support.wait import until


@pytest.fixture(params=["mock_broker", pytest.param("broker", marks=pytest.mark.real_broker)])
def each_broker(request: pytest.FixtureRequest) -> Broker:
    found: Broker = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def name() -> str:
    return f"brokers.{uuid.uuid4().hex[:12]}"


def produce(bootstrap: str, topic: str, *values: bytes, **settings: object) -> list[KafkaError]:
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "allow.auto.create.topics": False,
            "enable.idempotence": True,
            "log_level": 0,
            **settings,
        }
    )
    errors: list[KafkaError] = []
    for value in values:
        producer.produce(
            topic,
            value,
            key=b"k",
            headers=[("n", b"1"), ("nothing", None)],
            on_delivery=lambda error, _: errors.append(error) if error else None,
        )
    assert producer.flush(20.0) == 0
    return errors


def test_a_created_topic_has_four_partitions_and_takes_records_at_once(
    each_broker: Broker, name: str
) -> None:
    each_broker.create_topic(name)
    assert produce(each_broker.bootstrap_servers, name, b"a", b"b") == []
    with topic_reader(each_broker.bootstrap_servers, name) as reader:
        records = reader.read(at_least=2)
        assert len(reader._next) == 4
    assert [record.value for record in records] == [b"a", b"b"]
    assert records[0].key == b"k"
    assert records[0].headers == [("n", b"1"), ("nothing", None)]
    assert [record.offset for record in records] == [0, 1]


def test_a_topic_that_was_not_created_is_not_made_by_producing(
    each_broker: Broker, name: str
) -> None:
    quickly = {"message.timeout.ms": 2_000}
    (error,) = produce(each_broker.bootstrap_servers, name, b"a", **quickly)
    assert error.code() in {KafkaError._MSG_TIMED_OUT, KafkaError._UNKNOWN_TOPIC}


def test_a_reader_goes_on_where_it_stopped_and_stops_at_the_end(
    each_broker: Broker, name: str
) -> None:
    each_broker.create_topic(name)
    with topic_reader(each_broker.bootstrap_servers, name) as reader:
        assert reader.read() == []
        produce(each_broker.bootstrap_servers, name, b"a")
        assert [record.value for record in reader.read(at_least=1)] == [b"a"]
        assert len(reader.read()) == 1
        produce(each_broker.bootstrap_servers, name, b"b")
        assert [record.value for record in reader.read()] == [b"a", b"b"]


def test_a_reader_says_what_it_missed(mock_broker: Broker, name: str) -> None:
    mock_broker.create_topic(name)
    with pytest.raises(AssertionError, match=r"0 records .* wanted 1"):
        read_topic(mock_broker.bootstrap_servers, name, at_least=1, timeout_s=0.5)


def test_the_mock_refuses_a_number_of_partitions_that_it_cannot_make(
    mock_broker: Broker, name: str
) -> None:
    with pytest.raises(ServiceFailed, match="4 partitions, not 8"):
        mock_broker.create_topic(name, partitions=8)


def test_a_suspended_mock_takes_nothing_and_all_of_it_after_it_resumed(name: str) -> None:
    with MockBroker() as mock:
        mock.create_topic(name)
        mock.suspend()
        impatient = {"message.timeout.ms": 1_000}
        (error,) = produce(mock.bootstrap_servers, name, b"a", **impatient)
        assert error.code() == KafkaError._MSG_TIMED_OUT
        mock.resume()
        assert produce(mock.bootstrap_servers, name, b"b") == []


def test_the_mock_ends_when_its_starter_is_killed_even_suspended() -> None:
    code = "from relay.demo.mock_broker import MockBroker; import sys; m = MockBroker().start()"
    code += "; m.suspend(); print(m.pid, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        starter.kill()
    until(lambda: not alive(pid), timeout_s=5.0, what="the mock to end")


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[ApacheKafka]:
    with ApacheKafka({"message.max.bytes": "2000"}) as kafka:
        yield kafka


@pytest.mark.real_broker
def test_kafka_comes_back_with_its_address_and_its_data_after_a_crash(
    own_kafka: ApacheKafka, name: str
) -> None:
    own_kafka.create_topic(name)
    produce(own_kafka.bootstrap_servers, name, b"before")
    pid = own_kafka.pid
    own_kafka.kill()
    own_kafka.start()
    assert own_kafka.pid != pid
    produce(own_kafka.bootstrap_servers, name, b"after")
    records = read_topic(own_kafka.bootstrap_servers, name, at_least=2)
    assert [record.value for record in records] == [b"before", b"after"]


@pytest.mark.real_broker
def test_kafka_takes_the_properties_that_were_handed_in(own_kafka: ApacheKafka, name: str) -> None:
    own_kafka.create_topic(name)
    (error,) = produce(own_kafka.bootstrap_servers, name, b"x" * 3_000)
    assert error.code() == KafkaError.MSG_SIZE_TOO_LARGE
