"""`relay bench drain` as a user runs it: figures that belong together, and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from relay.bench import drain as scenario
from relay.bench import turn
from relay.demo import kafka_jars
from relay.errors import RelayError
from tests.bench.figures import bench
from tests.support.kafka import Broker
from tests.support.postgres import Postgres
from tests.support.wait import until

# More than a page of the relay (8,192) and of its peer (10,000), so that the first is left out; and
# enough that the relay's CPU stands out from that of its start.
EVENTS = 60_000


def databases(postgres: Postgres) -> set[str]:
    with psycopg.connect(postgres.url()) as connection:
        return {name for (name,) in connection.execute("select datname from pg_database")}


def test_the_figures_are_one_json_object_on_the_last_line() -> None:
    figures, output = bench("drain", "--events", str(EVENTS))
    assert figures["events"] == EVENTS
    assert figures["payload_bytes"] == 500
    rate = figures["events_per_second"]
    peer = figures["skip_locked_update_events_per_second"]
    bare = figures["bare_produce_events_per_second"]
    assert figures["ratio_to_skip_locked_update"] == pytest.approx(rate / peer, rel=0.01)
    assert figures["ratio_to_bare_produce"] == pytest.approx(rate / bare, rel=0.01)
    assert figures["relay_cpu_seconds_per_million"] > 0
    assert 20 < figures["peak_memory_mb"] < 200
    # Publishing writes no row; marking writes each of them anew.
    assert figures["wal_bytes_per_event"] < 5
    assert figures["skip_locked_update_wal_bytes_per_event"] > 500
    assert "embedded" in figures["postgres"]
    assert figures["broker"] == "mock"
    assert f"relay: {EVENTS:,} of {EVENTS:,}" in output
    assert "\x1b" not in output


@pytest.mark.skipif(
    bool(kafka_jars.unavailable_reason()), reason="needs a Kafka of its own, with its tools"
)
def test_on_a_real_kafka_its_own_tool_produces_as_many_records_beside_the_relay() -> None:
    figures, output = bench("drain", "--events", str(EVENTS), "--broker", "kafka")
    rate, tool = figures["events_per_second"], figures["kafka_tool_events_per_second"]
    assert figures["ratio_to_kafka_tool"] == pytest.approx(rate / tool, rel=0.01)
    assert f"Kafka's own tool: {EVENTS:,} of {EVENTS:,}" in output


def test_of_given_services_a_new_database_and_topic_are_used_and_removed(
    postgres: Postgres, database_url: str, broker: Broker
) -> None:
    before = databases(postgres)
    figures, _ = bench(
        "drain",
        "--events",
        "1",
        RELAY_DATABASE_URL=database_url,
        RELAY_KAFKA_BOOTSTRAP_SERVERS=broker.bootstrap_servers,
    )
    assert "RELAY_DATABASE_URL" in figures["postgres"]
    assert figures["broker"] == "RELAY_KAFKA_BOOTSTRAP_SERVERS"
    with psycopg.connect(database_url) as connection:
        query = (
            "select (select count(*) from outbox.event), (select max(number) from outbox.window)"
        )
        assert connection.execute(query).fetchone() == (0, 0)
    assert {name for name in databases(postgres) - before if "bench" in name} == set()
    if broker.is_real:
        client = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        until(
            lambda: not any("bench" in name for name in client.list_topics(timeout=10).topics),
            what="the topic to be gone",
        )


class Nobody:
    def at(self, what: str, done: int, total: int) -> None:
        pass


def test_a_relay_that_publishes_other_than_the_events_gives_no_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = '{{"event": "{}", "timestamp": "2026-01-01T00:00:0{}Z"}}'
    lines = [said.format("leading", 0), said.format("drained", 1)]
    (tmp_path / "idler.py").write_text("\n".join(f"print({line!r})" for line in lines))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv("RELAY_DATABASE_URL", raising=False)
    monkeypatch.delenv("RELAY_KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.setattr(turn, "RELAY", ["idler"])
    monkeypatch.setattr(scenario, "RELAY", ["idler"])
    with pytest.raises(RelayError, match="relay: the broker was given 0 events, and not 10"):
        scenario.drain(10, "mock", Nobody())
