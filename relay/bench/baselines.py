"""What the relay is compared with, each a process of its own as the relay is.

    python -m relay.bench.baselines skip_locked_update TOPIC EVENTS
    python -m relay.bench.baselines bare_produce TOPIC EVENTS

The first is the relay that most people write: claim rows with FOR UPDATE SKIP LOCKED, publish,
mark. The second reads nothing and is as fast as this client can be. Both have the relay's settings,
producer properties, envelope and care of memory. They say `leading` when the first page is
acknowledged, since a new producer may need half a second for its id (see relay.bench.drain), and
`drained`, with the number of events between the two, when the last one is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from typing import Final
from uuid import UUID

from confluent_kafka import KafkaError, Message, Producer

from relay import config
from relay.bench.events import KEYS, PAYLOAD_BYTES, TYPE
from relay.core.envelope import envelope
from relay.core.inputs import Row, Rows
from relay.daemon import memory
from relay.errors import RelayError
from relay.kafka.properties import faults, producer_properties
from relay.observe.logs import configured, log
from relay.postgres.connect import connect

__all__ = ["BASELINES", "PAGE_EVENTS"]

PAGE_EVENTS: Final = 10_000

_CONNECT_TIMEOUT_S: Final = 20.0
_FULL_QUEUE_POLL_S: Final = 0.1
_WINDOW: Final = 1
_EPOCH: Final = str(UUID(int=0))

_CLAIM: Final = """
select position, id::text, topic, key, type, content_type, payload,
       to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       nullif(headers::text, '{}')
from peer.event where published_at is null
order by position limit %s for update skip locked
"""
_MARK: Final = """
update peer.event set published_at = now()
where position = any(%s::bigint[]) and published_at is null
"""
# Each statement has the one index that it needs, and is held to it: where the planner reads the
# table instead, the peer takes minutes.
_PIN: Final = "set enable_seqscan = off"


def skip_locked_update(settings: config.Configuration, topic: str, events: int) -> None:
    """Claim a page, publish it, mark it, commit; until nothing is left."""
    with closing(connect(settings.outboxes[0].url, "bench peer")) as connection:
        connection.execute(_PIN)
        publish = _publisher(settings, topic)

        def page() -> int:
            with connection.transaction():
                rows: Rows = connection.execute(_CLAIM, [PAGE_EVENTS], binary=True).fetchall()  # type: ignore[assignment]  # Row, by the statement
                if rows:
                    publish(rows)
                    connection.execute(_MARK, [[row[0] for row in rows]])
            return len(rows)

        _timed(page, events)


def bare_produce(settings: config.Configuration, topic: str, events: int) -> None:
    """Hand over `events` of the same size and headers, as fast as the client takes them."""
    payload, event_id, time = bytes(PAYLOAD_BYTES), str(UUID(int=1)), "2026-01-01T00:00:00.000000Z"
    keys = [f"key-{number}" for number in range(KEYS)]
    publish = _publisher(settings, topic)
    sent = 0

    def page() -> int:
        nonlocal sent
        rows: list[Row] = [
            (n, event_id, topic, keys[n % KEYS], TYPE, "application/json", payload, time, None)
            for n in range(sent, min(sent + PAGE_EVENTS, events))
        ]
        publish(rows)
        sent += len(rows)
        return len(rows)

    _timed(page, events)


BASELINES: Final = {run.__name__: run for run in (skip_locked_update, bare_produce)}


def _timed(page: Callable[[], int], events: int) -> None:
    """Publish page by page until one is empty; the first is timed only if no other is."""
    counted = events
    if events > PAGE_EVENTS:
        counted -= page()
    log.info("leading")
    while page():
        pass
    log.info("drained", events=counted)


def _publisher(settings: config.Configuration, topic: str) -> Callable[[Rows], None]:
    """What hands over a page and waits until all of it is acknowledged."""
    properties = producer_properties(
        settings.shared.kafka_bootstrap_servers, config.kafka_properties()
    )
    failures: list[KafkaError] = []

    def note_failure(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)

    producer = Producer({**properties, "on_delivery": note_failure})
    producer.list_topics(topic, _CONNECT_TIMEOUT_S)
    headers_of = envelope(settings.outboxes[0].source or "", _EPOCH, _WINDOW)

    def publish(rows: Rows) -> None:
        produce = producer.produce
        for row in rows:
            while True:
                try:
                    produce(row[2], row[6], row[3], headers=headers_of(row))
                    break
                except BufferError:
                    producer.poll(_FULL_QUEUE_POLL_S)
        producer.flush()
        if failures:
            raise RelayError(f"broker: {failures[0].str()}")

    return publish


def main() -> None:
    """Run one of them."""
    name, topic, events = sys.argv[1:]
    settings = config.load({}, faults)
    memory.prepare()
    with configured():
        BASELINES[name](settings, topic, int(events))


if __name__ == "__main__":
    main()
