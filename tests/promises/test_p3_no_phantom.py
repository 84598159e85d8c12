"""P3: no event of a rolled back transaction or savepoint is ever published."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.support.history import Ledger, prove
from tests.support.kafka import Broker
from tests.support.processes import StartRelay
from tests.support.workload import KEYS, Shape, Writer, writing

FIRST, SECOND, *_ = KEYS


@pytest.mark.parametrize(
    "shape",
    [Shape(commits=False), Shape(savepoint="rolled back")],
    ids=["transaction", "savepoint"],
)
def test_what_was_rolled_back_is_not_published_with_what_was_not(
    shape: Shape, outbox_url: str, broker: Broker, ledger: Ledger, relay_process: StartRelay
) -> None:
    with closing(Writer("w", outbox_url, ledger)) as writer:
        for _ in range(10):
            writer.transaction(Shape())
            writer.transaction(shape)
    assert relay_process(outbox_url, broker.bootstrap_servers, "--until-drained").wait() == 0
    proof = prove(ledger, outbox_url, broker.bootstrap_servers)
    assert proof.verdict.committed < len(ledger.written)


def test_what_is_rolled_back_while_the_relay_runs_is_not_published(
    outbox_url: str, broker: Broker, ledger: Ledger, relay_process: StartRelay
) -> None:
    relay_process(outbox_url, broker.bootstrap_servers)
    shapes = (Shape(), Shape(commits=False, pause_s=0.05), Shape(savepoint="rolled back"))
    with writing(outbox_url, ledger, writers=4, shapes=shapes):
        ledger.wait_for(150)
    prove(ledger, outbox_url, broker.bootstrap_servers)


def test_an_event_is_not_published_before_its_commit(
    outbox_url: str, broker: Broker, ledger: Ledger, relay_process: StartRelay
) -> None:
    with (
        closing(Writer("open", outbox_url, ledger)) as undecided,
        closing(Writer("other", outbox_url, ledger)) as other,
    ):
        undecided.begin()
        undecided.lock([FIRST])
        undecided.emit(FIRST)
        other.backlog(10, [SECOND])
        assert relay_process(outbox_url, broker.bootstrap_servers, "--until-drained").wait() == 0
        undecided.run("rollback")
    prove(ledger, outbox_url, broker.bootstrap_servers)
