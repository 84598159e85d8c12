"""The client's certificate is renewed while the relay runs: files that do not fit for a moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.relay.events import emit
from tests.support.certificates import Authority
from tests.support.kafka import Broker
from tests.support.processes import StartRelay

PEM_FILES = ("RELAY_KAFKA_SSL_CERTIFICATE_PEM_FILE", "RELAY_KAFKA_SSL_KEY_PEM_FILE")
LOCATIONS = ("RELAY_KAFKA_SSL_CERTIFICATE_LOCATION", "RELAY_KAFKA_SSL_KEY_LOCATION")


@pytest.mark.parametrize("settings", [PEM_FILES, LOCATIONS])
def test_a_certificate_that_comes_before_its_key_ends_no_relay(
    database_url: str,
    mock_broker: Broker,
    relay_process: StartRelay,
    tmp_path: Path,
    settings: tuple[str, str],
) -> None:
    """The mock speaks no TLS, so each attempt makes the client anew."""
    authority = Authority()
    one, two = authority.issue(), authority.issue()
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(one.chain)
    key.write_bytes(one.key)
    files = dict(zip(settings, (str(chain), str(key)), strict=True))
    relay = relay_process(
        database_url, mock_broker.bootstrap_servers, RELAY_KAFKA_SECURITY_PROTOCOL="SSL", **files
    )
    relay.wait_for_log("leading")
    chain.write_bytes(two.chain)
    emit(database_url, "t")
    line = relay.wait_for_log("unreachable")
    assert "the client cannot be made" in line["reason"]
    key.write_bytes(two.key)
    relay.wait_for_log("delivery_in_doubt")
    assert relay.exit_code is None
