"""Topics against the events that wait for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from relay.core.checkup import Finding
from relay.core.topic_checks import Demand, Topic, topic_checks

CLIENT_MAX = 1_048_576
SETTINGS = {
    "max.message.bytes": "1048588",
    "retention.ms": "604800000",
    "min.insync.replicas": "2",
    "cleanup.policy": "delete",
}
FIT = Topic("orders", 12, 3, 3, SETTINGS, frozenset({"READ", "WRITE", "DESCRIBE"}))
WAITS = Demand("orders", events=10, largest_bytes=2_000, oldest_s=30.0)


def having(**settings: str) -> Topic:
    dotted = {name.replace("_", "."): value for name, value in settings.items()}
    return replace(FIT, settings={**SETTINGS, **dotted})


def of(demand: Demand, topic: Topic | None, *, creates: bool = False) -> Mapping[str, Finding]:
    there = {} if topic is None else {topic.name: topic}
    found = topic_checks([demand], there, CLIENT_MAX, creates=creates)
    return {one.check: one for one in found}


def not_ok(found: Mapping[str, Finding]) -> dict[str, str]:
    return {name: one.verdict for name, one in found.items() if one.verdict != "OK"}


def test_a_topic_that_is_fit_passes_each_check() -> None:
    assert not_ok(of(WAITS, FIT)) == {}


@pytest.mark.parametrize(
    ("demand", "topic", "check", "verdict"),
    [
        (WAITS, replace(FIT, operations=frozenset({"READ"})), "acls", "FAIL"),
        (WAITS, replace(FIT, operations=None), "acls", "SKIP"),
        (replace(WAITS, largest_bytes=1_048_000), FIT, "message size", "FAIL"),
        (WAITS, having(max_message_bytes="2100"), "message size", "FAIL"),
        (replace(WAITS, oldest_s=8 * 86_400.0), FIT, "retention", "WARN"),
        (WAITS, replace(FIT, in_sync=1), "replication", "FAIL"),
        (WAITS, having(min_insync_replicas="1"), "replication", "WARN"),
        (WAITS, having(unclean_leader_election_enable="true"), "replication", "WARN"),
        (replace(WAITS, keyless=1), having(cleanup_policy="compact"), "compaction", "FAIL"),
    ],
)
def test_what_is_unfit_is_found_by_its_check_alone(
    demand: Demand, topic: Topic, check: str, verdict: str
) -> None:
    assert not_ok(of(demand, topic)) == {check: verdict}


def test_a_larger_limit_of_the_topic_does_not_help_where_the_client_has_a_lower_one() -> None:
    found = of(replace(WAITS, largest_bytes=2_000_000), having(max_message_bytes="9000000"))
    assert not_ok(found) == {"message size": "FAIL"}
    assert "RELAY_KAFKA_MESSAGE_MAX_BYTES" in found["message size"].advice


def test_a_missing_topic_fails_where_events_wait_for_it() -> None:
    assert of(WAITS, None)["topics"].verdict == "FAIL"
    assert "orders" in of(WAITS, None)["topics"].found


def test_a_missing_topic_is_worth_a_warning_where_none_does_or_the_relay_makes_it() -> None:
    assert of(Demand("orders"), None)["topics"].verdict == "WARN"
    assert of(WAITS, None, creates=True)["topics"].verdict == "WARN"


def test_records_that_are_kept_for_ever_outlive_any_backlog() -> None:
    assert not_ok(of(replace(WAITS, oldest_s=1e9), having(retention_ms="-1"))) == {}


def test_what_the_broker_does_not_tell_is_skipped_and_not_passed() -> None:
    found = of(WAITS, replace(FIT, settings=None))
    assert not_ok(found) == {"message size": "SKIP", "retention": "SKIP", "compaction": "SKIP"}
