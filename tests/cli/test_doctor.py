"""`relay doctor`: every check is made, and what is wrong is told with what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from relay.postgres.examiner import unmet_privileges
from tests.cli.command import Outcome, relay
from tests.relay.events import connected, emit
from tests.support.kafka import Broker
from tests.support.processes import StartRelay
from tests.support.roles import users_with_roles

NOWHERE = "postgresql://relay:hunter2swordfish@127.0.0.1:1/db"
EVERY_CHECK = {
    *("configuration", "database", "privileges", "schema", "safety", "restored"),
    *("primary", "settings", "durability", "connections", "pooler", "clock"),
    *("leader", "lag", "parked", "transactions", "ring"),
    *("broker", "topics", "acls", "message size", "retention", "replication", "compaction"),
    "partitioner",
}


def examined(url: str, servers: str, **env: str) -> tuple[Outcome, dict[str, dict[str, Any]]]:
    outcome = relay("doctor", "--json", database_url=url, bootstrap_servers=servers, **env)
    report = json.loads(outcome.out)
    assert outcome.exit_code == (0 if report["ok"] else 1)
    return outcome, {one["check"]: one for one in report["checks"]}


def test_it_makes_every_check_once(database_url: str, broker: Broker) -> None:
    outcome = relay(
        "doctor",
        "--json",
        database_url=database_url,
        bootstrap_servers=broker.bootstrap_servers,
    )
    names = [one["check"] for one in json.loads(outcome.out)["checks"]]
    assert sorted(names) == sorted(EVERY_CHECK)


def test_a_relay_that_delivers_passes(
    database_url: str, broker: Broker, topic: str, relay_process: StartRelay
) -> None:
    emit(database_url, topic)
    relay_process(database_url, broker.bootstrap_servers).wait_for_log("leading")
    outcome, found = examined(database_url, broker.bootstrap_servers)
    assert outcome.exit_code == 0, outcome.said
    assert "at-least-once" in found["leader"]["found"]


def test_with_nothing_reachable_every_check_is_named_and_no_secret() -> None:
    outcome, found = examined(NOWHERE, "127.0.0.1:1")
    assert found.keys() == EVERY_CHECK
    failed = {name for name, one in found.items() if one["verdict"] == "FAIL"}
    assert failed == {"database", "broker"}
    assert "hunter2swordfish" not in outcome.said


def test_a_bad_configuration_does_not_hide_what_the_database_says(database_url: str) -> None:
    _, found = examined(database_url, "x:1", RELAY_WAKEUP="perhaps", RELAY_KAFKA_ACKS="1")
    assert "RELAY_WAKEUP" in found["configuration"]["found"]
    assert "RELAY_KAFKA_ACKS" in found["configuration"]["found"]
    assert found["schema"]["verdict"] == "OK"
    assert found.keys() == EVERY_CHECK


def test_without_any_configuration_it_is_a_report_all_the_same() -> None:
    unset = "RELAY_DATABASE_URL RELAY_KAFKA_BOOTSTRAP_SERVERS RELAY_SOURCE"
    outcome = relay("doctor", "--json", unset=unset)
    assert outcome.exit_code == 1
    assert {one["check"] for one in json.loads(outcome.out)["checks"]} == EVERY_CHECK


def test_a_database_without_the_schema_is_told_how_to_get_it(empty_database_url: str) -> None:
    _, found = examined(empty_database_url, "127.0.0.1:1")
    assert found["schema"]["verdict"] == "FAIL"
    assert "relay migrate" in found["schema"]["found"]
    assert found["primary"]["verdict"] == "OK"
    assert found.keys() - {"events"} == EVERY_CHECK


def test_a_topic_that_is_missing_fails_with_how_many_wait(
    database_url: str, broker: Broker
) -> None:
    emit(database_url, "no.such.topic", count=3)
    _, found = examined(database_url, broker.bootstrap_servers)
    assert found["topics"]["verdict"] == "FAIL"
    assert "no.such.topic; 3 events" in found["topics"]["found"]


@pytest.mark.real_broker
def test_an_event_too_large_for_its_topic_is_found_before_it_is_sent(
    database_url: str, broker: Broker, topic: str
) -> None:
    small = f"{topic}.small"
    broker.create_topic(small, 1, {"max.message.bytes": "2000"})
    emit(database_url, small, payload=b"x" * 5_000)
    _, found = examined(database_url, broker.bootstrap_servers)
    assert found["message size"]["verdict"] == "FAIL"
    assert small in found["message size"]["found"]
    assert found["acls"]["verdict"] == "OK"


def test_a_setting_of_the_role_that_hurts_is_found(database_url: str) -> None:
    read_only = f"{database_url}?options=-c%20default_transaction_read_only%3Don"
    _, found = examined(read_only, "127.0.0.1:1")
    assert found["settings"]["verdict"] == "FAIL"


def test_a_hazard_is_told_as_the_relay_tells_it(database_url: str) -> None:
    with connected(database_url) as connection:
        connection.execute("alter sequence outbox.event_position cache 10")
    _, found = examined(database_url, "127.0.0.1:1")
    assert "CACHE 1" in found["safety"]["found"]


def test_the_relay_s_role_has_all_that_it_needs_and_another_is_told_what_it_lacks(
    database_url: str,
) -> None:
    with users_with_roles(database_url) as urls:
        with connected(urls["outbox_relay"]) as connection:
            assert unmet_privileges(connection) == []
        with connected(urls["outbox_monitor"]) as connection:
            lacked = unmet_privileges(connection)
        _, found = examined(urls["outbox_monitor"], "127.0.0.1:1")
    assert {"insert on outbox.window", "update on outbox.lease"} <= set(lacked)
    assert "relay migrate --roles" in found["privileges"]["advice"]


def test_nothing_that_an_event_says_is_obeyed_by_the_terminal(
    database_url: str, broker: Broker
) -> None:
    with connected(database_url) as connection:
        connection.execute("insert into outbox.event (topic, type) values ('t', 'x')")
        connection.execute(
            "update outbox.lease set blocked_event = gen_random_uuid(),"
            " blocked_reason = 'x' || chr(27) || '[2Jy', blocked_since = now()"
        )
    said = relay("doctor", database_url=database_url, bootstrap_servers="127.0.0.1:1").out
    assert "x\\x1b[2Jy" in said
    assert "\x1b[2J" not in said
