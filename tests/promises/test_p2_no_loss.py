"""P2: every committed event reaches Kafka."""

from __future__ import annotations

from contextlib import closing

from tests.support.history import Ledger, prove
from tests.support.kafka import Broker
from tests.support.processes import StartRelay
from tests.support.workload import KEYS, Shape, Writer

FIRST, SECOND, *_ = KEYS


def test_events_committed_while_no_relay_runs_are_published(
    outbox_url: str, broker: Broker, ledger: Ledger, relay_process: StartRelay
) -> None:
    with closing(Writer("w", outbox_url, ledger)) as writer:
        for _ in range(20):
            writer.transaction(Shape())
    assert relay_process(outbox_url, broker.bootstrap_servers, "--until-drained").wait() == 0
    proof = prove(ledger, outbox_url, broker.bootstrap_servers)
    assert proof.verdict.committed == len(ledger.written)


def test_an_event_committed_after_events_of_later_transactions_were_published_is_published(
    outbox_url: str, broker: Broker, ledger: Ledger, relay_process: StartRelay
) -> None:
    with (
        closing(Writer("late", outbox_url, ledger)) as late,
        closing(Writer("early", outbox_url, ledger)) as early,
    ):
        late.begin()
        late.lock([FIRST])
        overtaken = late.emit(FIRST)
        early.backlog(10, [SECOND])
        assert relay_process(outbox_url, broker.bootstrap_servers, "--until-drained").wait() == 0
        late.commit([overtaken])
    assert relay_process(outbox_url, broker.bootstrap_servers, "--until-drained").wait() == 0
    proof = prove(ledger, outbox_url, broker.bootstrap_servers)
    assert proof.positions()[-1] == min(proof.positions())


def test_an_event_of_each_shape_of_key_and_payload_arrives_as_it_was_written(
    outbox_url: str, broker: Broker, ledger: Ledger, relay_process: StartRelay
) -> None:
    with closing(Writer("w", outbox_url, ledger)) as writer:
        writer.begin()
        writer.lock([FIRST])
        written = [writer.emit(key) for key in (FIRST, None) for _ in range(40)]
        writer.commit(written)
    assert any(one.payload is None for one in written)
    assert relay_process(outbox_url, broker.bootstrap_servers, "--until-drained").wait() == 0
    prove(ledger, outbox_url, broker.bootstrap_servers)
