"""RELAY_HTTP: which address is served, and what happens where it cannot be had."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from relay import config
from relay.errors import BadConfiguration
from tests.cli.command import relay
from tests.relay.events import emit
from tests.support.consume import topic_reader
from tests.support.kafka import Broker
from tests.support.processes import StartRelay
from tests.support.scrape import ANYWHERE, ask

DEFAULT = ("127.0.0.1", 9464)
NEEDED = {
    "RELAY_DATABASE_URL": "postgresql://127.0.0.1:1/db",
    "RELAY_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "RELAY_SOURCE": "/test",
}


@contextmanager
def taken(address: tuple[str, int]) -> Iterator[int]:
    """Somebody listens there: this test, or whoever did so before."""
    with closing(socket.socket()) as listener:
        try:
            listener.bind(address)
            listener.listen()
        except OSError:
            yield address[1]
            return
        yield listener.getsockname()[1]


def read(monkeypatch: pytest.MonkeyPatch, http: str | None) -> config.RelaySettings:
    for name in [name for name in os.environ if name.startswith("RELAY_")]:
        monkeypatch.delenv(name)
    given = NEEDED if http is None else {**NEEDED, "RELAY_HTTP": http}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return config.load({}, lambda _: {}).shared


@pytest.mark.parametrize(
    ("given", "address"),
    [
        (None, DEFAULT),
        ("", None),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:9464", ("::1", 9464)),
    ],
)
def test_where_it_is_served(
    monkeypatch: pytest.MonkeyPatch, given: str | None, address: tuple[str, int] | None
) -> None:
    assert read(monkeypatch, given).http_address == address


def test_the_default_counts_as_given_only_where_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not read(monkeypatch, None).http_is_given
    assert read(monkeypatch, "127.0.0.1:9464").http_is_given


@pytest.mark.parametrize(
    "given", ["9464", ":9464", "localhost", "localhost:", "a:65536", "::1:9464", "[x]:1", "a b:1"]
)
def test_an_address_that_is_none_is_named_with_what_it_should_be(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    with pytest.raises(BadConfiguration, match=r"RELAY_HTTP: is not host:port, such as .*65535"):
        read(monkeypatch, given)


def test_an_address_that_was_asked_for_and_is_taken_ends_it_before_anything_starts(
    database_url: str, mock_broker: Broker
) -> None:
    with taken(("127.0.0.1", 0)) as port:
        outcome = relay(
            "run",
            database_url=database_url,
            bootstrap_servers=mock_broker.bootstrap_servers,
            RELAY_HTTP=f"127.0.0.1:{port}",
        )
    assert outcome.exit_code == 78
    assert f"RELAY_HTTP: cannot listen at 127.0.0.1:{port}: address already in use" in outcome.err
    assert "starting" not in outcome.said


def test_without_the_default_address_it_says_so_and_publishes(
    database_url: str, mock_broker: Broker
) -> None:
    mock_broker.create_topic("unwatched")
    emit(database_url, "unwatched")
    with taken(DEFAULT), topic_reader(mock_broker.bootstrap_servers, "unwatched") as reader:
        outcome = relay(
            "run",
            "--until-drained",
            database_url=database_url,
            bootstrap_servers=mock_broker.bootstrap_servers,
            unset="RELAY_HTTP",
        )
        assert outcome.exit_code == 0
        assert '"event": "http_off"' in outcome.err
        assert len(reader.read(at_least=1)) == 1


def test_where_it_is_turned_off_nothing_is_said_of_it(
    database_url: str, mock_broker: Broker
) -> None:
    outcome = relay(
        "run",
        "--until-drained",
        database_url=database_url,
        bootstrap_servers=mock_broker.bootstrap_servers,
    )
    assert outcome.exit_code == 0
    assert "http_off" not in outcome.err
    assert "serving" not in outcome.err


def test_page_and_status_are_answered_at_the_same_port(
    database_url: str, mock_broker: Broker, relay_process: StartRelay
) -> None:
    running = relay_process(database_url, mock_broker.bootstrap_servers, RELAY_HTTP=ANYWHERE)
    assert "default-src 'none'" in ask(running, "/").headers["content-security-policy"]
    assert ask(running, "/status.json").headers["content-type"] == "application/json"
