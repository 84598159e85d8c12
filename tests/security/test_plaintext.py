"""Nothing goes to another machine in the clear unless RELAY_PLAINTEXT=yes says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay import config
from relay.errors import BadConfiguration
from relay.plaintext import may_be_to_brokers, may_be_to_database
from tests.cli.command import relay

LIBPQ_VARIABLES = ("PGHOST", "PGHOSTADDR", "PGSSLMODE", "PGSSLROOTCERT", "PGSERVICE")
FAR_URL = "postgresql://relay@db1.invalid/app"
NEAR_URL = "postgresql://relay@127.0.0.1:1/app"
DATABASE = "RELAY_DATABASE_URL: names another machine, and its sslmode"
BROKERS = "RELAY_KAFKA_BOOTSTRAP_SERVERS: names another machine, and what is sent there"


@pytest.fixture(autouse=True)
def _nothing_from_libpqs_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LIBPQ_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "url",
    [
        FAR_URL,
        "host=10.0.0.5 dbname=app",
        "host=db1 sslmode=disable",
        "host=db1 sslmode=allow",
        "host=db1 sslmode=prefer",
        "postgresql://relay@127.0.0.1,db2/app",
        "host=localhost hostaddr=10.0.0.5",
        "host=127.0.0.1.example.org",
        "host=0.0.0.0",
        "host=::ffff:10.0.0.5",
        "service=orders",
        "service=orders host=127.0.0.1,db2",
    ],
)
def test_a_connection_string_that_allows_plaintext_to_another_machine_is_known(url: str) -> None:
    assert may_be_to_database(url)


@pytest.mark.parametrize(
    "url",
    [
        "host=db1 sslmode=require",
        "host=db1,db2 sslmode=verify-ca",
        f"{FAR_URL}?sslmode=verify-full",
        "host=db1 sslrootcert=system",
        "host=db1 gssencmode=require",
        "service=orders sslmode=verify-full",
        "dbname=app",
        "host=/var/run/postgresql",
        "host=@abstract",
        "host=localhost",
        "host=LOCALHOST hostaddr=127.0.0.53",
        "host=::1",
        "postgresql://relay@[::1]:5432/app",
        "host=::ffff:127.0.0.1",
        "host=db1 hostaddr=127.0.0.1",
    ],
)
def test_tls_and_this_machine_are_free(url: str) -> None:
    assert not may_be_to_database(url)


@pytest.mark.parametrize(
    ("name", "value", "url", "plain"),
    [
        ("PGHOST", "db1", "dbname=app", True),
        ("PGHOSTADDR", "10.0.0.5", "host=localhost", True),
        ("PGSSLMODE", "require", FAR_URL, False),
        ("PGSSLMODE", "require", "host=db1 sslmode=prefer", True),
        ("PGSSLROOTCERT", "system", FAR_URL, False),
        ("PGSSLMODE", "require", "service=orders", True),
    ],
)
def test_what_the_string_does_not_say_is_taken_from_libpqs_variables(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, url: str, plain: bool
) -> None:
    monkeypatch.setenv(name, value)
    assert may_be_to_database(url) is plain


@pytest.mark.parametrize(
    ("servers", "protocol"),
    [
        ("broker:9092", ""),
        ("broker", ""),
        ("broker:9092", "plaintext"),
        ("broker:9092", "SASL_PLAINTEXT"),
        ("127.0.0.1:9092,broker:9092", ""),
        ("[2001:db8::1]:9092", ""),
        ("2001:db8::1", ""),
        ("PLAINTEXT://broker:9092", "SSL"),
        ("SSL://broker:9092", ""),
    ],
)
def test_brokers_that_would_be_reached_in_the_clear_are_known(servers: str, protocol: str) -> None:
    assert may_be_to_brokers(servers, protocol)


@pytest.mark.parametrize(
    ("servers", "protocol"),
    [
        ("broker:9092", "SSL"),
        ("broker:9092", "sasl_ssl"),
        ("SASL_SSL://broker:9092", "SASL_SSL"),
        ("127.0.0.1:9092, localhost:9093,", ""),
        ("[::1]:9092,::1", "plaintext"),
        ("PLAINTEXT://localhost:9092", ""),
    ],
)
def test_brokers_by_tls_and_on_this_machine_are_free(servers: str, protocol: str) -> None:
    assert not may_be_to_brokers(servers, protocol)


def test_the_daemon_names_both_at_once_and_what_to_set() -> None:
    outcome = relay("run", database_url=FAR_URL, bootstrap_servers="b1:9092", RELAY_PLAINTEXT="no")
    assert outcome.exit_code == 78
    database, brokers = (line.strip() for line in outcome.err.splitlines()[1:])
    assert database.startswith(DATABASE)
    assert brokers.startswith(BROKERS)
    assert database.endswith("set sslmode=verify-full in it, or RELAY_PLAINTEXT=yes")
    assert brokers.endswith("to SSL or SASL_SSL, or RELAY_PLAINTEXT=yes")


@pytest.mark.parametrize(
    "name",
    [
        "RELAY_KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    ],
)
def test_what_gets_secrets_by_http_is_looked_at_too(name: str) -> None:
    def refused(url: str, **env: str) -> bool:
        outcome = relay(
            *("run", "--until-drained"),
            database_url="postgresql://relay@127.0.0.1:1/app",
            bootstrap_servers="127.0.0.1:1",
            RELAY_KAFKA_ACKS="1",  # refused: so it ends in any case
            **{name: url},
            **env,
        )
        assert outcome.exit_code == 78
        return f"{name}: names another machine" in outcome.err

    assert refused("http://idp.invalid/token")
    assert not refused("http://idp.invalid/token", RELAY_PLAINTEXT="yes")
    assert not refused("https://idp.invalid/token")
    assert not refused("http://localhost:4318")


def test_a_command_for_the_database_refuses_it_too() -> None:
    outcome = relay("status", database_url=FAR_URL, RELAY_PLAINTEXT="no")
    assert outcome.exit_code == 78
    assert DATABASE in outcome.err


@pytest.mark.parametrize("said", ["true", "YES", "1", ""])
def test_only_yes_is_a_yes(said: str) -> None:
    outcome = relay("status", database_url=FAR_URL, RELAY_PLAINTEXT=said)
    assert outcome.exit_code == 78


def test_one_yes_is_for_both() -> None:
    """Another fault keeps the daemon from starting here; it is the only one."""
    outcome = relay(
        "run",
        database_url=FAR_URL,
        bootstrap_servers="b1:9092",
        RELAY_PLAINTEXT="yes",
        RELAY_SOURCE="not a uri",
    )
    assert [line.split(":")[0].strip() for line in outcome.err.splitlines()[1:]] == ["RELAY_SOURCE"]


def test_each_of_several_outboxes_is_looked_at() -> None:
    outcome = relay("run", database_url={"a": NEAR_URL, "b": FAR_URL}, bootstrap_servers="[::1]:1")
    (fault,) = outcome.err.splitlines()[1:]
    assert fault.strip().startswith("RELAY_OUTBOX_B_DATABASE_URL: names another machine")


def test_a_file_that_is_rotated_to_plaintext_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "url"
    sound = f"{FAR_URL}?sslmode=verify-full"
    file.write_text(sound)
    for name in ("RELAY_DATABASE_URL", "RELAY_PLAINTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RELAY_DATABASE_URL_FILE", str(file))
    outbox = config.load_database()
    file.write_text(FAR_URL)
    assert outbox.url == sound


def test_given_services_of_the_demo_and_the_benchmarks_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RELAY_DATABASE_URL", raising=False)
    monkeypatch.delenv("RELAY_PLAINTEXT", raising=False)
    monkeypatch.setenv("RELAY_KAFKA_BOOTSTRAP_SERVERS", "b1:9092")
    with pytest.raises(BadConfiguration, match=BROKERS):
        config.given_services()
    monkeypatch.setenv("RELAY_PLAINTEXT", "yes")
    assert config.given_services() == (None, "b1:9092")
