"""The consumer's own tables: what it took, and every record of the log as it read it.

`taken` stands for a consumer's real writes: one row for each event that it acted upon. It has no
key on purpose. The inbox alone keeps an event from being taken twice, so the proof sees it if the
inbox does not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, LiteralString, NamedTuple

from sqlalchemy import text

from relay.core.history import Seen
from relay.postgres.connect import Connection

_CREATE: Final = """
drop schema if exists outbox_demo cascade;
create schema outbox_demo;
create table outbox_demo.taken (
    event_id   uuid        not null,
    written_at timestamptz not null,
    taken_at   timestamptz not null default clock_timestamp()
);
create table outbox_demo.record (
    partition integer not null,
    "offset"  bigint  not null,
    seen      text    not null,
    primary key (partition, "offset")
);
"""

INSERT_TAKEN: Final = text(
    "insert into outbox_demo.taken (event_id, written_at) values (:event_id, :written_at)"
)
# A record is read again when the consumer dies between its commit and that of its offsets.
INSERT_RECORD: Final = text(
    'insert into outbox_demo.record (partition, "offset", seen) '
    "values (:partition, :offset, :seen) on conflict do nothing"
)

_COUNTS: Final = """
select (select count(*) from outbox_demo.taken),
       (select count(*) from outbox_demo.record)
"""
_ROWS: Final = """
select (select count(*) from public.run_completions where tenant_id = %(tenant)s),
       (select count(*) from public.incidents where tenant_id = %(tenant)s),
       (select count(*) from outbox.event where topic = %(topic)s),
       (select count(*) from outbox_demo.taken),
       (select count(distinct event_id) from outbox_demo.taken)
"""
# Both ends by the database's clock, so that it holds between machines too.
_LATENCY: Final = """
select percentile_cont(%(fraction)s::float8) within group (order by ms),
       percentile_cont(%(fraction)s::float8) within group (order by ms)
           filter (where taken_at < %(killed_at)s)
from (select 1000 * extract(epoch from taken_at - written_at)::float8 as ms, taken_at
      from outbox_demo.taken) as latency
"""


class Rows(NamedTuple):
    """What stands in the database of one demo's runs, and what its consumer did with them."""

    completions: int
    incidents: int
    events: int
    taken: int
    taken_unique: int


class Latency(NamedTuple):
    """Milliseconds from the writing of an event to its taking; None where there was no event.

    `until_kill` is of those taken until the kill: without the time in which nobody led.
    """

    overall: float | None
    until_kill: float | None


def create(connection: Connection) -> None:
    """Make the tables, empty."""
    connection.execute(_CREATE)


def remove(connection: Connection, consumer: str) -> None:
    """Remove the tables, and what the inbox remembers of `consumer`."""
    connection.execute("drop schema if exists outbox_demo cascade")
    connection.execute("delete from inbox.seen where consumer = %s", [consumer])


def counts(connection: Connection) -> tuple[int, int]:
    """How many events were taken, and how many records were read."""
    taken, read = _one_row(connection, _COUNTS)
    return int(taken), int(read)


def next_offsets(connection: Connection) -> dict[int, int]:
    """How far each partition was read; one of which nothing was read is not in it."""
    query = 'select partition, max("offset") + 1 from outbox_demo.record group by partition'
    return {int(str(one)): int(str(end)) for one, end in connection.execute(query)}


def was_read(connection: Connection, window_number: int) -> bool:
    """Whether a record of this window has come out of Kafka already."""
    query = "select exists (select from outbox_demo.record where strpos(seen, %s) > 0)"
    place = f'"ce_sequence": "{window_number:019d}.'
    return bool(_one_row(connection, query, [place])[0])


def rows(connection: Connection, tenant: str, topic: str) -> Rows:
    """Count what stands in the database."""
    return Rows(*map(int, _one_row(connection, _ROWS, {"tenant": tenant, "topic": topic})))


def latency(connection: Connection, fraction: float, killed_at: object) -> Latency:
    """The latency that `fraction` of the events kept within."""
    wanted = {"fraction": fraction, "killed_at": killed_at}
    return Latency(*_one_row(connection, _LATENCY, wanted))


def as_text(seen: Seen) -> str:
    """Write a record for the table `record`: ASCII, whatever bytes it had."""
    fields = seen._asdict()
    fields["value_hash"] = seen.value_hash and seen.value_hash.hex()
    return json.dumps(fields)


def log(connection: Connection) -> Iterator[Seen]:
    """Every record that was read, in offset order per partition."""
    query = 'select seen from outbox_demo.record order by partition, "offset"'
    for (stored,) in connection.execute(query):
        fields = json.loads(str(stored))
        if fields["value_hash"] is not None:
            fields["value_hash"] = bytes.fromhex(fields["value_hash"])
        yield Seen(**fields)


def _one_row(
    connection: Connection,
    query: LiteralString,
    parameters: Mapping[str, object] | Sequence[object] | None = None,
) -> tuple[Any, ...]:
    row = connection.execute(query, parameters).fetchone()
    if row is None:
        raise AssertionError("an aggregate is one row")
    return row
