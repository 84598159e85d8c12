"""NAME_FILE instead of NAME: what such a file may hold, and what is said of one that does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from relay import config
from tests.cli.command import Outcome, relay

SECRET = "hunter2swordfish"
FINE_URL = f"postgresql://relay:{SECRET}@127.0.0.1:1/db"
NO_URL = {"unset": "RELAY_DATABASE_URL"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "secret"


def faults(outcome: Outcome) -> list[str]:
    assert outcome.exit_code == 78, outcome.said
    assert SECRET not in outcome.said
    return [line.strip() for line in outcome.err.splitlines()[1:]]


def test_a_command_takes_the_connection_string_from_a_file(database_url: str, file: Path) -> None:
    file.write_text(database_url + "\n")
    outcome = relay("status", "--json", RELAY_DATABASE_URL_FILE=str(file), **NO_URL)
    assert outcome.exit_code == 0, outcome.said


def test_so_does_a_command_about_one_of_several_outboxes(database_url: str, file: Path) -> None:
    file.write_text(database_url)
    variable = {"RELAY_OUTBOX_BILLING_DATABASE_URL_FILE": str(file)}
    outcome = relay("status", "--json", "--outbox", "billing", **variable, **NO_URL)
    assert outcome.exit_code == 0, outcome.said


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "names a file that is empty"),
        (b"\n", "names a file that is empty"),
        (b"\xff" + SECRET.encode(), "names a file that is not UTF-8 text"),
        (SECRET.encode() + b"\0", "names a file that holds a NUL"),
        (b"x" * 1_048_577, "names a file of more than 1048576 bytes"),
    ],
)
def test_what_is_no_secret_is_refused_by_the_name_of_its_setting(
    file: Path, content: bytes, problem: str
) -> None:
    file.write_bytes(content)
    outcome = relay("status", RELAY_DATABASE_URL_FILE=str(file), **NO_URL)
    assert faults(outcome) == [f"RELAY_DATABASE_URL_FILE: {problem}"]


def test_a_file_that_is_missing_is_told_without_its_path() -> None:
    """Somebody sets the secret itself where its path belongs."""
    outcome = relay("status", RELAY_DATABASE_URL_FILE=f"/nowhere/{SECRET}", **NO_URL)
    assert faults(outcome) == ["RELAY_DATABASE_URL_FILE: cannot be read: No such file or directory"]


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(file: Path) -> None:
    os.mkfifo(file)
    outcome = relay("status", RELAY_DATABASE_URL_FILE=str(file), **NO_URL)
    assert faults(outcome) == ["RELAY_DATABASE_URL_FILE: does not name a regular file"]


def test_a_malformed_connection_string_in_a_file_is_told_of_the_file(file: Path) -> None:
    file.write_text(f"host=127.0.0.1 passwrd={SECRET}")
    (fault,) = faults(relay("status", RELAY_DATABASE_URL_FILE=str(file), **NO_URL))
    assert fault.startswith("RELAY_DATABASE_URL_FILE: is not a PostgreSQL connection string")


def test_a_setting_and_its_file_are_refused_together(file: Path) -> None:
    file.write_text(FINE_URL)
    outcome = relay(
        "run",
        database_url=FINE_URL,
        bootstrap_servers="127.0.0.1:1",
        RELAY_DATABASE_URL_FILE=str(file),
        RELAY_KAFKA_SASL_PASSWORD=SECRET,
        RELAY_KAFKA_SASL_PASSWORD_FILE=str(file),
    )
    assert faults(outcome) == [
        "RELAY_DATABASE_URL_FILE: is set beside RELAY_DATABASE_URL: set one",
        "RELAY_KAFKA_SASL_PASSWORD_FILE: is set beside RELAY_KAFKA_SASL_PASSWORD: set one of them",
    ]


def test_any_property_of_the_client_may_come_from_a_file(file: Path) -> None:
    file.write_text("soon")
    outcome = relay(
        "run",
        database_url=FINE_URL,
        bootstrap_servers="127.0.0.1:1",
        RELAY_KAFKA_LINGER_MS_FILE=str(file),
        RELAY_KAFKA_SASL_PASSWORD_FILE="/nowhere",
    )
    named = [fault.partition(": ")[0] for fault in faults(outcome)]
    assert named == ["RELAY_KAFKA_SASL_PASSWORD_FILE", "RELAY_KAFKA_LINGER_MS_FILE"]


def test_a_property_in_a_file_is_read_anew_and_kept_while_the_file_is_being_written(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("first\n")
    monkeypatch.setenv("RELAY_KAFKA_SASL_PASSWORD_FILE", str(file))
    properties = config.kafka_properties()
    seen = [properties["sasl.password"]]
    for content in ("second", "", "third"):
        file.write_text(content)
        seen.append(properties["sasl.password"])
    assert seen == ["first", "second", "second", "third"]
