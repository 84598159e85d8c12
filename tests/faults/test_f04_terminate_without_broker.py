"""F04: SIGTERM while the broker is a black hole: connections stand, and nothing comes back."""

from __future__ import annotations

import os
import signal
import socket
import uuid
from collections.abc import Iterator
from contextlib import closing
from time import monotonic

import pytest

from relay.demo.apache_kafka import ApacheKafka
from tests.support.history import Ledger, prove
from tests.support.processes import RelayProcess, StartRelay
from tests.support.workload import Writer

DRAIN_LIMIT_S = 10.0
STOP_LIMIT_S = DRAIN_LIMIT_S + 2.0
AT_ONCE_S = 5.0
EX_TEMPFAIL = 75
EVENTS = 100


def seconds_to_stop(relay: RelayProcess) -> float:
    """Of a stop that ends with 0: what was given up is not lost."""
    asked_s = monotonic()
    relay.terminate()
    assert relay.wait() == 0
    return monotonic() - asked_s


@pytest.fixture
def in_flight(
    outbox_url: str, own_kafka: ApacheKafka, relay_process: StartRelay
) -> Iterator[tuple[RelayProcess, Ledger]]:
    """A relay that waits for the acknowledgement of what it has handed over; the broker answers
    again at the end of the test."""
    ledger = Ledger(f"f04.{uuid.uuid4().hex[:8]}")
    own_kafka.create_topic(ledger.topic)
    relay = relay_process(outbox_url, own_kafka.bootstrap_servers)
    with closing(Writer("w", outbox_url, ledger)) as writer:
        writer.backlog(EVENTS)
        prove(ledger, outbox_url, own_kafka.bootstrap_servers)
        own_kafka.suspend()
        try:
            writer.backlog(EVENTS)
            relay.wait_for_log("waiting_for_broker")
            yield relay, ledger
        finally:
            own_kafka.resume()


def publish_the_rest(
    ledger: Ledger, outbox_url: str, own_kafka: ApacheKafka, relay_process: StartRelay
) -> None:
    """Nothing is lost: the next relay publishes what was given up. What of the first attempt was in
    the broker's sockets comes twice."""
    own_kafka.resume()
    last = relay_process(outbox_url, own_kafka.bootstrap_servers, "--until-drained")
    assert last.wait() == 0
    prove(ledger, outbox_url, own_kafka.bootstrap_servers, max_duplicates=EVENTS)


@pytest.mark.real_broker
def test_what_is_in_flight_is_given_up_at_the_drain_limit_and_sent_by_the_next(
    in_flight: tuple[RelayProcess, Ledger],
    outbox_url: str,
    own_kafka: ApacheKafka,
    relay_process: StartRelay,
) -> None:
    relay, ledger = in_flight
    assert DRAIN_LIMIT_S <= seconds_to_stop(relay) <= STOP_LIMIT_S
    publish_the_rest(ledger, outbox_url, own_kafka, relay_process)


@pytest.mark.real_broker
def test_a_second_signal_ends_it_at_once_and_nothing_is_lost(
    in_flight: tuple[RelayProcess, Ledger],
    outbox_url: str,
    own_kafka: ApacheKafka,
    relay_process: StartRelay,
) -> None:
    relay, ledger = in_flight
    os.kill(relay.pid, signal.SIGTERM)
    os.kill(relay.pid, signal.SIGINT)  # another number: two of one kind may arrive as one
    assert relay.wait(AT_ONCE_S) == EX_TEMPFAIL
    assert relay.log_lines()[-1]["event"] == "stopped_at_once"
    publish_the_rest(ledger, outbox_url, own_kafka, relay_process)


def test_a_broker_that_never_answered_does_not_delay_the_stop(
    outbox_url: str, relay_process: StartRelay
) -> None:
    with closing(Writer("w", outbox_url, Ledger("f04"))) as writer:
        writer.backlog(EVENTS)
    with socket.create_server(("127.0.0.1", 0)) as black_hole:
        relay = relay_process(outbox_url, f"127.0.0.1:{black_hole.getsockname()[1]}")
        relay.wait_for_log("delivery_in_doubt")
        assert seconds_to_stop(relay) <= STOP_LIMIT_S
