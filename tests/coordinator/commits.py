"""Commits with events, and what a relay stores when all of them are published."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from coordinator import (
    Coordinator,
    OutboxEvent,
    Outcome,
    RunCompletionTransaction,
    Transaction,
    TransactionResult,
)
from tests.relay.leader import closed, leading
from tests.support.history import end_lease

__all__ = ["KEY", "as_if_published", "committed", "execute_on", "publish"]

KEY = ("acme", "publish", 1)


def publish(tx: Transaction, topic: str = "orders", *, events: int = 1) -> None:
    for number in range(events):
        data = {"number": number}
        tx.emit(OutboxEvent.json(topic=topic, key="k", type="thing.happened", data=data))


def committed(engine: Engine, key: tuple[str | int, ...] = KEY, **options: Any) -> Outcome:
    return Coordinator(engine).run(publish, key=key, **options)


def as_if_published(url: str) -> None:
    """What a relay stores once all of now is in Kafka."""
    with leading(url) as store:
        closed(store)
    end_lease(url)


def execute_on(coordinator: RunCompletionTransaction, **options: Any) -> TransactionResult:
    return coordinator.execute(run_id="r", tenant_id="t", run_status="failed", **options)
