"""librdkafka's properties: passed through, unless they would break a promise."""

from __future__ import annotations

import pytest

from relay import config
from relay.kafka.properties import REFUSED, faults, producer_properties


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_property_that_would_break_a_promise_is_refused(name: str) -> None:
    assert faults({name: "1"}) == {name: REFUSED[name]}


def test_a_broker_inside_the_relay_itself_is_refused() -> None:
    assert set(faults({"test.mock.num.brokers": "1"})) == {"test.mock.num.brokers"}


def test_sound_properties_have_no_faults() -> None:
    sound = {"linger.ms": "5", "compression.type": "lz4", "security.protocol": "plaintext"}
    assert faults(sound) == {}


def test_a_fault_is_told_of_the_property_that_has_it() -> None:
    found = faults({"client.id": "relay", "linger.ms": "soon", "batch.size": "-1"})
    assert set(found) == {"linger.ms", "batch.size"}


def test_lifo_queueing_is_not_taken() -> None:
    assert set(faults({"queuing.strategy": "lifo"})) == {"queuing.strategy"}


def test_a_property_that_contradicts_a_promise_is_told_alone() -> None:
    found = faults({"client.id": "relay", "max.in.flight": "10"})
    assert set(found) == {"max.in.flight"}


def test_properties_that_are_wrong_only_together_are_told_once() -> None:
    found = faults({"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN"})
    assert len(found) == 1
    assert "sasl.username and sasl.password must be set" in next(iter(found.values()))


@pytest.mark.parametrize("value", ["", "1", "é", "999999999999"])
def test_the_text_of_a_fault_is_whole_whatever_the_value(value: str) -> None:
    (text,) = faults({"message.max.bytes": value}).values()
    assert text == text.strip()
    assert "***" not in text


def test_what_carries_a_promise_wins_over_what_is_given() -> None:
    properties = producer_properties("broker:9092", {"acks": "0", "partitioner": "random"})
    assert properties["acks"] == "all"
    assert properties["partitioner"] == "murmur2_random"
    assert properties["enable.idempotence"] is True
    assert properties["message.timeout.ms"] == 0
    assert properties["bootstrap.servers"] == "broker:9092"


def test_what_is_a_matter_of_taste_is_taken_from_the_user() -> None:
    assert producer_properties("b:1", {"client.id": "mine"})["client.id"] == "mine"


def test_a_variable_names_its_property(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_KAFKA_SASL_USERNAME", "me")
    monkeypatch.setenv("RELAY_KAFKA_BOOTSTRAP_SERVERS", "b:1")
    assert config.kafka_properties() == {"sasl.username": "me"}
