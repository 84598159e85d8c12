"""What is in flight is bounded in bytes as well as in events."""

from __future__ import annotations

import pytest

from relay.bench.counters import measure
from relay.core.window import PAGE_BYTES_MAX
from tests.cli.command import status
from tests.relay.events import connected
from tests.support.kafka import Broker
from tests.support.processes import environment

WRITTEN_BYTES = 450_000_000
PEAK_MB_MAX = 256
"""Two pages with their copies in libpq and librdkafka, and a relay without events: 180 measured.
Unbounded, what is written here would be there two or three times."""

_INSERT = """
insert into outbox.event (topic, key, type, payload)
select %(topic)s, 'key-' || n %% 10, 'large', decode(repeat('ab', %(bytes)s), 'hex')
from generate_series(1, %(events)s) n
"""


# The largest that may be written, and the largest of which a page is not cut and is read ahead.
@pytest.mark.parametrize("payload_bytes", [1_000_000, PAGE_BYTES_MAX // 8192 - 1_100])
def test_large_events_fit_into_the_memory_of_small_ones(
    payload_bytes: int, database_url: str, mock_broker: Broker
) -> None:
    events = WRITTEN_BYTES // payload_bytes
    topic = f"test.large.{payload_bytes}"
    mock_broker.create_topic(topic)
    with connected(database_url) as writer:
        values = {"topic": topic, "bytes": payload_bytes, "events": events}
        writer.execute(_INSERT, values)
    run = measure(
        ["relay.cli.main", "run", "--until-drained"],
        environment(database_url, mock_broker.bootstrap_servers),
        tick=lambda: None,
    )
    assert status(database_url)["pending"] == 0
    assert run.peak_mb < PEAK_MB_MAX
