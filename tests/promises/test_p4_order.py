"""P4: for one key, first appearances in Kafka follow commit order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.history import Ledger, prove
from tests.support.kafka import Broker
from tests.support.processes import StartRelay
from tests.support.workload import KEYS, Writer

KEY, OTHER, *_ = KEYS


@pytest.fixture
def first(outbox_url: str, ledger: Ledger) -> Iterator[Writer]:
    """Whose transaction begins first."""
    writer = Writer("first", outbox_url, ledger)
    yield writer
    writer.close()


@pytest.fixture
def second(outbox_url: str, ledger: Ledger) -> Iterator[Writer]:
    """Whose transaction begins second."""
    writer = Writer("second", outbox_url, ledger)
    yield writer
    writer.close()


def _write(writer: Writer) -> None:
    writer.lock([KEY])
    writer.commit([writer.emit(KEY) for _ in range(3)])


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_a_transaction_that_began_first_and_wrote_the_key_last_is_published_last(
    isolation: str,
    first: Writer,
    second: Writer,
    outbox_url: str,
    broker: Broker,
    ledger: Ledger,
    relay_process: StartRelay,
) -> None:
    first.run(f"begin isolation level {isolation}")
    first.run("select pg_current_xact_id()")
    second.begin()
    _write(second)
    _write(first)
    assert relay_process(outbox_url, broker.bootstrap_servers, "--until-drained").wait() == 0
    proof = prove(ledger, outbox_url, broker.bootstrap_servers)
    assert proof.ids() == [one.event_id for one in ledger.written]


def test_the_same_holds_when_the_first_comes_in_a_later_window(
    first: Writer,
    second: Writer,
    outbox_url: str,
    broker: Broker,
    ledger: Ledger,
    relay_process: StartRelay,
) -> None:
    first.begin()
    second.begin()
    _write(second)
    assert relay_process(outbox_url, broker.bootstrap_servers, "--until-drained").wait() == 0
    _write(first)
    assert relay_process(outbox_url, broker.bootstrap_servers, "--until-drained").wait() == 0
    proof = prove(ledger, outbox_url, broker.bootstrap_servers)
    assert proof.ids() == [one.event_id for one in ledger.written]


def test_an_open_transaction_of_one_key_does_not_hold_back_another_key(
    first: Writer,
    second: Writer,
    outbox_url: str,
    broker: Broker,
    ledger: Ledger,
    relay_process: StartRelay,
) -> None:
    first.begin()
    first.lock([OTHER])
    held = first.emit(OTHER)
    second.begin()
    _write(second)
    assert relay_process(outbox_url, broker.bootstrap_servers, "--until-drained").wait() == 0
    proof = prove(ledger, outbox_url, broker.bootstrap_servers)
    assert proof.verdict.published_unique == 3
    first.commit([held])
