"""What a real relay says at /metrics, read as Prometheus reads it."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from relay.daemon.clock import wall_s
from relay.observe.vitals import FAILURES
from tests.relay.events import connected, emit
from tests.relay.fleet import several
from tests.support.kafka import Broker
from tests.support.postgres import Postgres
from tests.support.processes import RelayProcess, StartRelay
from tests.support.scrape import ANYWHERE, ask, scraped
from tests.support.wait import until

AGREED = {
    "counter": {
        "outbox_published_events_total",
        "outbox_published_bytes_total",
        "outbox_parked_events_total",
        "outbox_publish_failures_total",
        "outbox_lease_lost_total",
        "outbox_fenced_total",
        "outbox_takeovers_total",
    },
    "gauge": {
        "outbox_pending_events",
        "outbox_pending_is_at_least",
        "outbox_oldest_pending_timestamp_seconds",
        "outbox_parked_events",
        "outbox_held_keys",
        "outbox_leading",
        "outbox_term",
        "outbox_in_flight_events",
        "outbox_in_flight_bytes",
        "outbox_client_queue_events",
        "outbox_last_success_timestamp_seconds",
        "outbox_heartbeat_timestamp_seconds",
        "outbox_oldest_transaction_start_timestamp_seconds",
        "outbox_xmin_horizon_age_transactions",
        "outbox_ring_bytes",
        "outbox_ring_leaves_in_use",
        "outbox_retention_oldest_kept_timestamp_seconds",
        "outbox_database_up",
        "outbox_broker_up",
        "outbox_build_info",
    },
    "histogram": {"outbox_publish_duration_seconds", "outbox_commit_to_ack_seconds"},
}
"""Rules, dashboards and runbooks name them, so a change here breaks somebody's night."""

ONLY = "outbox="
README = Path(__file__).parents[2] / "relay" / "README.md"


@pytest.fixture
def leader(relay_process: StartRelay, database_url: str, mock_broker: Broker) -> RelayProcess:
    relay = relay_process(database_url, mock_broker.bootstrap_servers, RELAY_HTTP=ANYWHERE)
    relay.wait_for_log("leading")
    until(lambda: ("outbox_pending_events", ONLY) in scraped(relay), what="the first look")
    return relay


def test_there_are_exactly_the_agreed_names(leader: RelayProcess) -> None:
    said: dict[str, set[str]] = {"counter": set(), "gauge": set(), "histogram": set()}
    for line in ask(leader, "/metrics").text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            said[kind].add(name)
    assert said == AGREED


def test_there_is_no_label_that_grows_with_users(leader: RelayProcess) -> None:
    labels = {
        (name, value)
        for family in text_string_to_metric_families(ask(leader, "/metrics").text)
        for sample in family.samples
        for name, value in sample.labels.items()
        if name != "le"
    }
    reasons = {("reason", reason) for reason in FAILURES}
    assert {name for name, _ in labels} == {"outbox", "reason", "version"}
    assert {one for one in labels if one[0] != "version"} == {("outbox", ""), *reasons}


def test_it_counts_what_the_broker_acknowledged(
    leader: RelayProcess, database_url: str, mock_broker: Broker
) -> None:
    mock_broker.create_topic("counted")
    before = wall_s()
    emit(database_url, "counted", payload=b"x" * 100, count=25)
    until(lambda: scraped(leader)["outbox_published_events_total", ONLY] == 25, what="25 out")
    found = scraped(leader)
    assert found["outbox_published_bytes_total", ONLY] == 2_500
    assert found["outbox_publish_duration_seconds_count", ONLY] >= 1
    assert found["outbox_commit_to_ack_seconds_count", ONLY] >= 1
    assert before <= found["outbox_last_success_timestamp_seconds", ONLY] <= wall_s()
    assert found["outbox_broker_up", ONLY] == found["outbox_database_up", ONLY] == 1
    kept = ("outbox_retention_oldest_kept_timestamp_seconds", ONLY)
    assert abs(until(lambda: scraped(leader)[kept], what="a look at it") - before) < 5


def test_an_idle_leader_beats(leader: RelayProcess) -> None:
    first = scraped(leader)["outbox_heartbeat_timestamp_seconds", ONLY]
    assert abs(first - wall_s()) < 5
    until(lambda: scraped(leader)["outbox_heartbeat_timestamp_seconds", ONLY] > first + 1)


def test_leader_and_standby_tell_who_leads(
    leader: RelayProcess, relay_process: StartRelay, database_url: str, mock_broker: Broker
) -> None:
    servers = mock_broker.bootstrap_servers
    standby = relay_process(database_url, servers, RELAY_HTTP=ANYWHERE)
    standby.wait_for_log("standby")
    until(lambda: ("outbox_pending_events", ONLY) in scraped(standby), what="its first look")
    leads, stands_by = scraped(leader), scraped(standby)
    assert (leads["outbox_leading", ONLY], stands_by["outbox_leading", ONLY]) == (1, 0)
    assert (leads["outbox_term", ONLY], stands_by["outbox_term", ONLY]) == (1, 1)
    leader.terminate()
    until(lambda: scraped(standby)["outbox_leading", ONLY], what="a takeover")
    found = scraped(standby)
    assert (found["outbox_term", ONLY], found["outbox_takeovers_total", ONLY]) == (2, 1)
    assert found["outbox_lease_lost_total", ONLY] == found["outbox_fenced_total", ONLY] == 0


def test_it_tells_of_a_transaction_that_is_left_open(
    leader: RelayProcess, database_url: str
) -> None:
    with psycopg.connect(database_url) as writer:
        writer.execute("select outbox.emit('t', 'k', 'thing.happened', '')")
        for _ in range(30):
            with connected(database_url) as other:
                other.execute("select pg_current_xact_id()")
        age = ("outbox_xmin_horizon_age_transactions", ONLY)
        until(lambda: scraped(leader)[age] >= 30, what="its age in transactions")
        since = ("outbox_oldest_transaction_start_timestamp_seconds", ONLY)
        begun = until(lambda: scraped(leader)[since], what="its name among the blockers")
        assert 9 < wall_s() - begun < 40
        writer.rollback()
    until(lambda: scraped(leader)[since] == 0, what="its end")


def test_what_is_refused_is_counted_as_parked(
    relay_process: StartRelay, database_url: str, mock_broker: Broker
) -> None:
    mock_broker.create_topic("fine")
    small = {"RELAY_HTTP": ANYWHERE, "RELAY_KAFKA_MESSAGE_MAX_BYTES": "2000"}
    relay = relay_process(database_url, mock_broker.bootstrap_servers, **small)
    emit(database_url, "fine", payload=b"x" * 5_000)
    until(lambda: scraped(relay)["outbox_parked_events_total", ONLY], what="a parked event")
    found = scraped(relay)
    assert found["outbox_publish_failures_total", "outbox=,reason=refused"] == 1
    until(lambda: scraped(relay).get(("outbox_parked_events", ONLY)) == 1, what="a look at it")
    assert scraped(relay)["outbox_held_keys", ONLY] == 1


def test_several_outboxes_are_told_apart_on_one_port(
    relay_process: StartRelay, postgres: Postgres, migrated_template: str, mock_broker: Broker
) -> None:
    mock_broker.create_topic("orders")
    with several(postgres, migrated_template, ("billing", "orders")) as urls:
        relay = relay_process(urls, mock_broker.bootstrap_servers, RELAY_HTTP=ANYWHERE)
        emit(urls["orders"], "orders", count=3)
        out = ("outbox_published_events_total", "outbox=orders")
        until(lambda: scraped(relay)[out] == 3, what="the events of one")
        until(lambda: scraped(relay)["outbox_leading", "outbox=billing"], what="the other's lease")
        assert scraped(relay)["outbox_published_events_total", "outbox=billing"] == 0
        relay.terminate()
        relay.wait()


def test_the_book_explains_each_metric_and_no_other() -> None:
    chapter = README.read_text().partition("## Health and metrics")[2].partition("\n## ")[0]
    explained = set(re.findall(r"^\| `(outbox_[a-z_]+)", chapter, re.MULTILINE))
    assert explained == set().union(*AGREED.values())
