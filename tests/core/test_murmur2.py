"""Keys go where the Java client sends them: known vectors, and librdkafka as a second oracle."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, Message, Producer
from hypothesis import given
from hypothesis import strategies as st

from relay.core.murmur2 import java_partition, murmur2

# org.apache.kafka.common.utils.UtilsTest.testMurmur2
KAFKA_VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}

MOCK_PARTITIONS = 4


@pytest.mark.parametrize(("data", "expected"), KAFKA_VECTORS.items())
def test_murmur2_equals_the_vectors_of_kafkas_own_test(data: bytes, expected: int) -> None:
    assert murmur2(data) == expected


@given(st.binary(max_size=64))
def test_murmur2_fits_a_java_int(data: bytes) -> None:
    assert -(2**31) <= murmur2(data) < 2**31


def test_a_negative_hash_loses_its_sign_bit_and_not_its_sign() -> None:
    assert murmur2(b"21") < 0
    # toPositive(-973932308) is 1173551340; the absolute value would give another partition.
    assert java_partition(b"21", 1000) == 340
    assert abs(murmur2(b"21")) % 1000 == 308


def test_every_key_goes_to_the_partition_that_librdkafka_gives_it() -> None:
    keys = [b"k" * length for length in range(9)] + [f"run-{n}".encode() for n in range(200)]
    keys += [b"\x00", b"\xff\xfe\xfd", "größe-日本".encode()]

    delivered = _partitions_by_librdkafka(keys)

    assert delivered == {key: java_partition(key, MOCK_PARTITIONS) for key in keys}


def _partitions_by_librdkafka(keys: list[bytes]) -> dict[bytes, int]:
    delivered: dict[bytes, int] = {}

    def note(error: KafkaError | None, message: Message) -> None:
        partition, key = message.partition(), message.key()
        assert error is None
        assert isinstance(key, bytes)
        assert partition is not None
        delivered[key] = partition

    # An empty address and mock brokers: librdkafka's cluster inside this very producer.
    producer = Producer(
        {
            "bootstrap.servers": "",
            "test.mock.num.brokers": 1,
            "partitioner": "murmur2_random",
        }
    )
    for key in keys:
        producer.produce("murmur2", key=key, value=b"", on_delivery=note)
    assert producer.flush(30) == 0
    return delivered
