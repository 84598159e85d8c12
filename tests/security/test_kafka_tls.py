"""TLS and SASL to a real broker: what is right delivers, what is wrong is refused and named.

A broker whose certificate or whose answer to the password is wrong is a broker that is away: events
wait in the database, the relay runs on and says why, and goes on by itself once it is mended.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import relay as run_command
from tests.cli.command import status
from tests.relay.events import emit, idempotency_key
from tests.support.certificates import Authority
from tests.support.consume import read_topic
from tests.support.listening import listening
from tests.support.processes import StartRelay
from tests.support.secured_kafka import PASSWORD, SecuredKafka, secured_kafka
from tests.support.wait import until

TLS_HANDSHAKE = b"\x16\x03"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with secured_kafka(tmp_path_factory.mktemp("secured")) as kafka:
        yield kafka


@pytest.fixture
def topic(secured: SecuredKafka) -> str:
    name = f"secured.{uuid.uuid4().hex[:8]}"
    secured.kafka.create_topic(name)
    return name


@pytest.fixture
def password(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    return file


def delivered(secured: SecuredKafka, topic: str, at_least: int = 0) -> list[str]:
    records = read_topic(secured.kafka.bootstrap_servers, topic, at_least=at_least)
    return [idempotency_key(record) for record in records]


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_events_are_delivered_over_tls_with_scram(
    secured: SecuredKafka,
    topic: str,
    password: Path,
    database_url: str,
    relay_process: StartRelay,
    delivery: str,
) -> None:
    written = emit(database_url, topic, count=3)
    settings = secured.settings(password, RELAY_DELIVERY=delivery)
    relay = relay_process(database_url, secured.addresses["good"], "--until-drained", **settings)
    assert relay.wait() == 0
    assert delivered(secured, topic, at_least=3) == written


@pytest.mark.parametrize(
    ("listener", "why"),
    [
        ("expired", "its certificate is refused: certificate has expired"),
        ("elsewhere", "its certificate is refused: IP address mismatch"),
        ("alone", "self-signed certificate: RELAY_KAFKA_SSL_CA_LOCATION does not have its issuer"),
    ],
)
def test_a_wrong_certificate_is_refused_and_named_and_the_events_wait(
    secured: SecuredKafka,
    topic: str,
    password: Path,
    database_url: str,
    relay_process: StartRelay,
    listener: str,
    why: str,
) -> None:
    emit(database_url, topic)
    address = secured.addresses[listener]
    relay = relay_process(database_url, address, **secured.settings(password))
    assert why in relay.wait_for_log("broker_trouble")["reason"]
    assert delivered(secured, topic) == []
    assert status(database_url)["pending"] == 1
    relay.terminate()
    assert relay.wait() == 0


def test_an_unknown_authority_is_refused_and_named(
    secured: SecuredKafka,
    password: Path,
    database_url: str,
    relay_process: StartRelay,
    tmp_path: Path,
) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(Authority().pem)
    settings = secured.settings(password, RELAY_KAFKA_SSL_CA_LOCATION=str(other))
    relay = relay_process(database_url, secured.addresses["good"], **settings)
    reason = relay.wait_for_log("broker_trouble")["reason"]
    assert reason.endswith("RELAY_KAFKA_SSL_CA_LOCATION does not have its issuer")


@pytest.mark.parametrize(
    ("listener", "secret", "why"),
    [
        ("expired", PASSWORD, "certificate has expired"),
        ("good", "wrong-swordfish", "invalid credentials with SASL mechanism"),
    ],
)
def test_a_command_that_ends_says_what_is_wrong_and_ends_with_69(
    secured: SecuredKafka,
    topic: str,
    password: Path,
    database_url: str,
    listener: str,
    secret: str,
    why: str,
) -> None:
    password.write_text(secret)
    outcome = run_command(
        "verify",
        "--since=1h",
        f"--topic={topic}",
        database_url=database_url,
        bootstrap_servers=secured.addresses[listener],
        **secured.settings(password),
    )
    assert outcome.exit_code == 69, outcome.said
    assert why in outcome.err
    assert "swordfish" not in outcome.said


def test_the_doctor_names_what_is_wrong_with_a_certificate(
    secured: SecuredKafka, password: Path, database_url: str
) -> None:
    outcome = run_command(
        "doctor",
        "--json",
        database_url=database_url,
        bootstrap_servers=secured.addresses["elsewhere"],
        **secured.settings(password),
    )
    (broker,) = [one for one in json.loads(outcome.out)["checks"] if one["check"] == "broker"]
    assert broker["verdict"] == "FAIL"
    assert "its certificate is refused: IP address mismatch" in broker["found"]


def test_a_wrong_password_is_named_never_told_and_mended_without_a_restart(
    secured: SecuredKafka,
    topic: str,
    password: Path,
    database_url: str,
    relay_process: StartRelay,
) -> None:
    password.write_text("wrong-swordfish")
    (event,) = emit(database_url, topic)
    relay = relay_process(database_url, secured.addresses["good"], **secured.settings(password))
    reason = relay.wait_for_log("broker_trouble")["reason"]
    assert "invalid credentials with SASL mechanism SCRAM-SHA-512" in reason
    assert delivered(secured, topic) == []
    password.write_text(PASSWORD)
    assert delivered(secured, topic, at_least=1) == [event]
    assert relay.exit_code is None
    assert "swordfish" not in relay.log_text()


def test_a_password_that_is_rotated_at_the_broker_is_taken_from_its_file(
    secured: SecuredKafka,
    topic: str,
    password: Path,
    database_url: str,
    relay_process: StartRelay,
) -> None:
    (before,) = emit(database_url, topic)
    relay = relay_process(database_url, secured.addresses["good"], **secured.settings(password))
    assert delivered(secured, topic, at_least=1) == [before]
    secured.set_password("second-swordfish")
    try:
        # What is connected stays connected.
        secured.kafka.stop()
        secured.kafka.start()
        (after,) = emit(database_url, topic)
        until(lambda: "invalid credentials" in relay.log_text(), what="the old one to be refused")
        password.write_text("second-swordfish\n")
        # What was on its way when the broker stopped may stand there twice.
        assert list(dict.fromkeys(delivered(secured, topic, at_least=2))) == [before, after]
    finally:
        secured.set_password(PASSWORD)
    assert relay.exit_code is None
    assert "swordfish" not in relay.log_text()


def test_nothing_is_ever_sent_in_the_clear_where_tls_is_asked_for(
    secured: SecuredKafka, password: Path, database_url: str, relay_process: StartRelay
) -> None:
    with listening() as server:
        address = f"127.0.0.1:{server.port}"
        relay_process(database_url, address, **secured.settings(password))
        until(lambda: len(server.heard) >= 5, what="five attempts")
        assert {said[:2] for said in server.heard} == {TLS_HANDSHAKE}
