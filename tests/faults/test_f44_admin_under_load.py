"""F44: retry, discard, pause and resume while events are written: each key keeps its order."""

from __future__ import annotations

from collections import defaultdict

import pytest

from tests.cli.command import relay, status
from tests.kafka.parking import TOO_LARGE, make_narrow, retried, wait_parked, widen
from tests.relay.events import connected, emit, idempotency_key
from tests.support.consume import read_topic
from tests.support.kafka import Broker
from tests.support.processes import StartRelay

pytestmark = pytest.mark.real_broker

KEYS = ("a", "b", "c")
ROUNDS = 12


def told(database_url: str, *args: str) -> None:
    outcome = relay(*args, "--why", "a drill", database_url=database_url)
    assert outcome.exit_code == 0, outcome.said


def test_the_order_inside_a_key_is_kept_whatever_operators_do(
    broker: Broker, database_url: str, relay_process: StartRelay
) -> None:
    topic = make_narrow(broker)
    relay_process(database_url, broker.bootstrap_servers)
    written: defaultdict[str, list[str]] = defaultdict(list)
    for number in range(ROUNDS):
        for key in KEYS:
            written[key] += emit(database_url, topic, key=key, count=20)
        unlucky = KEYS[number % len(KEYS)]
        written[unlucky] += emit(database_url, topic, key=unlucky, payload=TOO_LARGE)
        match number % 4:
            case 0:
                told(database_url, "pause", "--topic", topic, "--key", "b")
            case 1:
                retried(database_url, "--all")
            case 2:
                told(database_url, "parked", "discard", "--key", "c", "--yes-key", "c")
            case 3:
                told(database_url, "resume", "--topic", topic, "--key", "b")

    widen(broker, topic)
    told(database_url, "resume", "--topic", topic, "--key", "b")
    while status(database_url)["held"] or status(database_url)["parked"]:
        retried(database_url, "--all")
    wait_parked(database_url, 0)
    discarded = ids_discarded(database_url)
    records = read_topic(broker.bootstrap_servers, topic)
    for key in KEYS:
        log = dict.fromkeys(idempotency_key(one) for one in records if one.key == key.encode())
        assert list(log) == [one for one in written[key] if one not in discarded]
    assert discarded <= set(written["c"])


def ids_discarded(database_url: str) -> set[str]:
    """As the record of what operators did has them."""
    with connected(database_url) as connection:
        rows = connection.execute(
            "select unnest(events)::text from outbox.parked_action where action = 'discard'"
        ).fetchall()
    return {str(event_id) for (event_id,) in rows}
