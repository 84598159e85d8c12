"""Records as our relay makes them, without a relay."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID, uuid5

from coordinator.inbox.memory import Record

FIRST_EPOCH = UUID("10000000-0000-4000-8000-000000000000")
SECOND_EPOCH = UUID("20000000-0000-4000-8000-000000000000")


def relay_record(
    n: int,
    *,
    partition: int = 0,
    epoch: UUID = FIRST_EPOCH,
    event: int | None = None,
    topic: str = "orders",
    key: str | None = "k",
    minute: int = 0,
    headers: Mapping[str, bytes | None] | None = None,
) -> Record:
    """The record at place `n`. `event`: which event it is, if not the n-th; `headers` replace the
    relay's, and None leaves one out."""
    event_id = uuid5(FIRST_EPOCH, str(n if event is None else event))
    ours: dict[str, bytes | None] = {
        "ce_specversion": b"1.0",
        "ce_id": str(event_id).encode(),
        "ce_source": b"/orders",
        "ce_type": b"order.paid",
        "ce_time": b"2026-11-24T20:%02d:39.123456Z" % minute,
        "content-type": b"application/json",
        "ce_sequence": b"%019d.%019d" % (n // 100, n),
        "ce_outboxepoch": str(epoch).encode(),
    }
    kept = [
        (name, value) for name, value in {**ours, **(headers or {})}.items() if value is not None
    ]
    value = b'{"n": %d}' % n
    return Record(topic, partition, n, None if key is None else key.encode(), value, kept, 0)
