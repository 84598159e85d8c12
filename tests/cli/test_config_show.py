"""`relay config show`: each setting with where it comes from, and no secret."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from relay.cli.config import HIDDEN, _told
from tests.cli.command import Outcome, relay
from tests.support.kafka import Broker
from tests.support.processes import StartRelay

SECRET = "hunter2swordfish"
URL = f"postgresql://app:{SECRET}@db.example:5433/shop?sslpassword={SECRET}&sslmode=require"


def shown(*args: str, url: str = URL, **env: str) -> Outcome:
    return relay(
        "config", "show", *args, database_url=url, bootstrap_servers="127.0.0.1:9092", **env
    )


def settings(outcome: Outcome) -> dict[str, tuple[str, str]]:
    found = json.loads(outcome.out)["settings"]
    return {one["name"]: (one["value"], one["origin"]) for one in found}


def test_each_setting_says_where_it_comes_from(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text(SECRET)
    outcome = shown(
        "--json",
        RELAY_RETENTION="7d",
        RELAY_KAFKA_LINGER_MS="5",
        RELAY_KAFKA_SASL_PASSWORD_FILE=str(password),
    )
    found = settings(outcome)
    assert outcome.exit_code == 0, outcome.said
    assert found["RELAY_RETENTION"] == ("7d", "env")
    assert found["RELAY_DELIVERY"] == ("at-least-once", "default")
    assert found["RELAY_KAFKA_LINGER_MS"] == ("5", "env")
    assert found["RELAY_KAFKA_CLIENT_ID"] == ("outbox-relay", "relay")
    assert found["RELAY_KAFKA_ACKS"] == ("all", "fixed")
    assert found["RELAY_KAFKA_SASL_PASSWORD_FILE"] == (str(password), "file")


def test_no_secret_is_shown_wherever_it_stands() -> None:
    secrets = {
        f"RELAY_KAFKA_{name}": SECRET
        for name in ("SASL_PASSWORD", "SSL_KEY_PASSWORD", "SASL_OAUTHBEARER_CLIENT_SECRET")
    }
    outcome = shown(**secrets)
    assert SECRET not in outcome.said
    assert "host=db.example port=5433 dbname=shop user=app sslmode=require" in outcome.out


@given(st.from_regex(r"[A-Z]{1,12}(_[A-Z]{1,12}){0,3}", fullmatch=True))
def test_a_property_that_nobody_listed_is_hidden(name: str) -> None:
    told = _told(f"RELAY_KAFKA_SASL_{name}", SECRET, fit=True)
    assert (
        told.value == HIDDEN
        or name in ("MECHANISM", "MECHANISMS", "USERNAME")
        or (told.origin == "file")
    )


def test_with_a_fault_no_value_is_shown_as_it_may_stand_in_the_wrong_place() -> None:
    outcome = shown(RELAY_WAKEUP=SECRET, RELAY_KAFKA_CLIENT_ID=SECRET)
    assert outcome.exit_code == 78
    assert "RELAY_WAKEUP: " in outcome.err
    assert SECRET not in outcome.said


def test_a_typing_error_in_a_name_is_seen() -> None:
    outcome = shown("--json", RELAY_RETENTON="7d")
    assert settings(outcome)["RELAY_RETENTON"] == (HIDDEN, "unknown")
    assert "typing error" in outcome.err


def test_outboxes_by_name_are_shown() -> None:
    outcome = relay("config", "show", "--json", database_url={"billing": URL})
    assert settings(outcome)["RELAY_OUTBOX_BILLING_DATABASE_URL"][1] == "env"


def test_a_relay_that_starts_names_what_is_no_setting_and_not_what_kubernetes_adds(
    database_url: str, mock_broker: Broker, relay_process: StartRelay
) -> None:
    process = relay_process(
        database_url,
        mock_broker.bootstrap_servers,
        RELAY_DELIVRY=SECRET,
        RELAY_HTTP_FILE="/secret",
        RELAY_SERVICE_HOST="10.0.0.1",
        RELAY_METRICS_SERVICE_PORT_HTTP="9464",
        RELAY_METRICS_PORT_9464_TCP_ADDR="10.0.0.1",
    )
    line = process.wait_for_log("settings_unknown")
    assert line["names"] == ["RELAY_DELIVRY", "RELAY_HTTP_FILE"]
    assert SECRET not in process.log_text()
