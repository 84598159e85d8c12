"""Bad configuration: exit 78, every fault at once and by the name of its setting, never a value."""

from __future__ import annotations

import pytest

from relay.kafka.properties import REFUSED
from tests.cli.command import relay

SECRET = "hunter2swordfish"
FINE_URL = f"postgresql://relay:{SECRET}@127.0.0.1:1/db"


def variable(librdkafka_property: str) -> str:
    return "RELAY_KAFKA_" + librdkafka_property.upper().replace(".", "_")


def test_every_missing_setting_is_named_at_once() -> None:
    settings = "RELAY_DATABASE_URL RELAY_KAFKA_BOOTSTRAP_SERVERS RELAY_SOURCE"
    outcome = relay("run", unset=settings)
    assert outcome.exit_code == 78
    faults = [line.strip() for line in outcome.err.splitlines()[1:]]
    assert sorted(faults) == [f"{name}: is not set" for name in sorted(settings.split())]


def test_malformed_settings_and_refused_and_unknown_properties_are_told_together() -> None:
    outcome = relay(
        "run",
        database_url="host=127.0.0.1 passwrd=x",
        bootstrap_servers=" ",
        RELAY_SOURCE="not a uri",
        RELAY_KAFKA_ACKS="1",
        RELAY_KAFKA_LINGER_MS="soon",
        RELAY_KAFKA_NO_SUCH_THING="1",
    )
    assert outcome.exit_code == 78
    named = {line.split(":")[0].strip() for line in outcome.err.splitlines()[1:]}
    assert named == {
        "RELAY_DATABASE_URL",
        "RELAY_KAFKA_BOOTSTRAP_SERVERS",
        "RELAY_SOURCE",
        "RELAY_KAFKA_ACKS",
        "RELAY_KAFKA_LINGER_MS",
        "RELAY_KAFKA_NO_SUCH_THING",
    }


def test_a_property_that_would_break_a_promise_is_refused_with_its_reason() -> None:
    refused = {name: why for name, why in REFUSED.items() if name != "bootstrap.servers"}
    outcome = relay("run", database_url=FINE_URL, **{variable(name): "1" for name in refused})
    assert outcome.exit_code == 78
    for name, why in refused.items():
        assert f"{variable(name)}: {why}" in outcome.err


@pytest.mark.parametrize(
    "url",
    [
        f"host=127.0.0.1 passwrd={SECRET}",
        SECRET,
        f"postgresql://relay:{SECRET}%zz@127.0.0.1/db",
        f"postgresql://relay:x@{SECRET}@127.0.0.1/db",
        f"postgresql://relay:{SECRET}/x@127.0.0.1/db",
        f"postgresql://relay:1/{SECRET}@127.0.0.1/db",
        f"postgresql://relay@127.0.0.1/db?passwort={SECRET}",
    ],
    ids=["unknown_word", "no_dsn", "bad_escape", "two_ats", "slash", "port_then_slash", "query"],
)
def test_a_malformed_connection_string_is_refused_without_quoting_any_of_it(url: str) -> None:
    outcome = relay("status", database_url=url)
    assert outcome.exit_code == 78
    assert "RELAY_DATABASE_URL: is not a PostgreSQL connection string" in outcome.err
    assert SECRET not in outcome.said


@pytest.mark.parametrize("servers", ["h:99999", "h:0", "h:x", ",", "h:9092,", ":9092", "h:9092 i"])
def test_brokers_that_cannot_be_are_refused(servers: str) -> None:
    outcome = relay("run", database_url="dbname=x", bootstrap_servers=servers)
    assert outcome.exit_code == 78
    assert "RELAY_KAFKA_BOOTSTRAP_SERVERS: is not host:port[,host:port...]" in outcome.err


@pytest.mark.parametrize("servers", ["h:9092", "h", "SSL://h:65535, i:1", "[::1]:9092", "::1"])
def test_brokers_that_may_be_are_taken(servers: str) -> None:
    outcome = relay("run", database_url="dbname=x", bootstrap_servers=servers, unset="RELAY_SOURCE")
    assert "is not host:port" not in outcome.err


def test_no_value_of_a_librdkafka_property_is_repeated() -> None:
    outcome = relay(
        "run",
        database_url=FINE_URL,
        RELAY_KAFKA_SASL_PASSWORT=SECRET,
        RELAY_KAFKA_COMPRESSION_TYPE=SECRET,
        RELAY_KAFKA_SSL_KEY_PEM=SECRET,
        RELAY_KAFKA_SECURITY_PROTOCOL="ssl",
    )
    assert outcome.exit_code == 78
    assert "RELAY_KAFKA_SASL_PASSWORT: " in outcome.err
    assert "RELAY_KAFKA_COMPRESSION_TYPE: " in outcome.err
    assert SECRET not in outcome.said


def test_an_option_of_the_command_line_stands_in_for_its_variable() -> None:
    typed = ("--source", "/typed", "--bootstrap-servers", "127.0.0.1:1")
    outcome = relay("run", *typed, unset="RELAY_DATABASE_URL RELAY_SOURCE")
    assert outcome.exit_code == 78
    assert outcome.err.splitlines()[1:] == ["  RELAY_DATABASE_URL: is not set"]


def test_a_mistake_on_the_command_line_ends_with_2() -> None:
    assert relay("run", "--no-such-option").exit_code == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RELAY_RETENTION", "soon"),
        ("RELAY_RETENTION", "24"),
        ("RELAY_RETENTION", "-1h"),
        ("RELAY_RETENTION", "367d"),
        ("RELAY_RETENTION_BYTES", "0GB"),
        ("RELAY_RETENTION_BYTES", "1000"),
        ("RELAY_RETENTION_BYTES", "20 GB"),
    ],
)
def test_a_time_and_a_size_to_keep_have_a_unit(name: str, value: str) -> None:
    outcome = relay("run", database_url=FINE_URL, unset="RELAY_SOURCE", **{name: value})
    assert outcome.exit_code == 78
    assert f"{name}: is not a " in outcome.err
