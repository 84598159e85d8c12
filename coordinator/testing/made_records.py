"""Records as our relay would make them of events, without a relay and a broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from uuid import UUID
from zlib import crc32

from coordinator.event import OutboxEvent
from coordinator.inbox.memory import Record

_EPOCH = UUID("6f757462-6f78-4000-8000-74657374696e")
_FIRST_MS = 1_767_225_600_000
_TIME = b"2026-01-01T00:00:00.000000Z"


def relay_records(
    events: Sequence[OutboxEvent], *, source: str = "/test", partitions: int = 4
) -> list[Record]:
    """Make the records that a consumer would get of `events`, written in this order.

    Args:
        events: in commit order.
        source: as `RELAY_SOURCE` of the relay.
        partitions: of each topic. A key stays in one of them, though not in that of a real broker.
    """
    offsets: Counter[tuple[str, int]] = Counter()
    records = []
    for position, event in enumerate(events, start=1):
        key = None if event.key is None else event.key.encode()
        partition = crc32(event.id.bytes if key is None else key) % partitions
        offset = offsets[event.topic, partition]
        offsets[event.topic, partition] += 1
        headers = _headers(event, source, position)
        place = (event.topic, partition, offset)
        records.append(Record(*place, key, event.payload, headers, _FIRST_MS))
    return records


def _headers(event: OutboxEvent, source: str, position: int) -> list[tuple[str, bytes | None]]:
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(event.id).encode()),
        ("ce_source", source.encode()),
        ("ce_type", event.type.encode()),
        ("ce_time", _TIME),
        ("content-type", event.content_type.encode()),
        ("ce_sequence", b"%019d.%019d" % (1, position)),
        ("ce_outboxepoch", str(_EPOCH).encode()),
        *((name, value.encode()) for name, value in event.headers.items()),
    ]
