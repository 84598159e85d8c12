"""Several outboxes by name: every fault of their settings at once, and commands that choose one."""

from __future__ import annotations

import json

from tests.cli.command import Outcome, relay

SECRET = "hunter2swordfish"
FINE_URL = f"postgresql://relay:{SECRET}@127.0.0.1:1/db"


def faults(outcome: Outcome) -> list[str]:
    assert outcome.exit_code == 78, outcome.said
    return [line.strip() for line in outcome.err.splitlines()[1:]]


def test_every_fault_of_every_outbox_is_named_at_once() -> None:
    outcome = relay(
        "run",
        database_url={"billing": FINE_URL, "orders": SECRET},
        unset="RELAY_SOURCE RELAY_KAFKA_BOOTSTRAP_SERVERS",
        RELAY_OUTBOX_BILLING_SOURCE="not a uri",
        RELAY_OUTBOX_STOCK_SOURCE="/stock",
        RELAY_OUTBOX_STOCK_DATABSE_URL=FINE_URL,
    )
    named = {line.split(":")[0] for line in faults(outcome)}

    assert named == {
        "RELAY_KAFKA_BOOTSTRAP_SERVERS",
        "RELAY_OUTBOX_BILLING_SOURCE",
        "RELAY_OUTBOX_ORDERS_DATABASE_URL",
        "RELAY_OUTBOX_STOCK_DATABASE_URL",
        "RELAY_OUTBOX_STOCK_DATABSE_URL",
        "RELAY_SOURCE",
    }
    assert SECRET not in outcome.said


def test_outboxes_with_a_name_and_one_without_are_refused_together() -> None:
    outcome = relay("status", database_url=FINE_URL, RELAY_OUTBOX_A_DATABASE_URL=FINE_URL + "2")

    assert faults(outcome) == [
        "RELAY_DATABASE_URL: is set beside RELAY_OUTBOX_*: name every outbox, or none"
    ]


def test_one_database_under_two_names_is_refused() -> None:
    outcome = relay("status", database_url={"billing": FINE_URL, "orders": FINE_URL})

    assert faults(outcome) == [
        (
            "RELAY_OUTBOX_ORDERS_DATABASE_URL: is the database of outbox billing; "
            "of two in one database each has a RELAY_OUTBOX_<NAME>_SCHEMA"
        )
    ]


def test_a_source_is_needed_only_by_outboxes_that_have_none_of_their_own() -> None:
    outcome = relay(
        "run",
        database_url={"billing": FINE_URL, "orders": FINE_URL + "2"},
        unset="RELAY_SOURCE",
        RELAY_OUTBOX_BILLING_SOURCE="/billing",
        RELAY_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1",
    )

    assert faults(outcome) == ["RELAY_SOURCE: is not set, nor is RELAY_OUTBOX_ORDERS_SOURCE"]


def test_a_command_is_about_the_outbox_that_was_chosen(
    database_url: str, empty_database_url: str
) -> None:
    urls = {"empty": empty_database_url, "full": database_url}
    chosen = relay("status", "--outbox", "full", "--json", database_url=urls)
    other = relay("status", "--outbox", "EMPTY", database_url=urls)

    assert json.loads(chosen.out)["pending"] == 0
    assert "the schema outbox is missing" in other.err


def test_where_there_are_several_a_command_asks_which(database_url: str) -> None:
    urls = {"billing": FINE_URL, "orders": database_url}
    for command in ("status", "migrate"):
        outcome = relay(command, database_url=urls)
        assert outcome.exit_code == 78
        assert "choose by --outbox: billing, orders" in outcome.err
    assert "choose by --outbox" in relay("parked", "list", database_url=urls).err


def test_an_outbox_that_is_not_configured_is_not_guessed(database_url: str) -> None:
    outcome = relay("status", "--outbox", "stock", database_url={"orders": database_url})

    assert outcome.exit_code == 78
    assert "there is orders" in outcome.err


def test_the_only_outbox_with_a_name_need_not_be_chosen(database_url: str) -> None:
    assert relay("status", database_url={"orders": database_url}).exit_code == 0
