"""Records as a topic would bring them, a handler that writes down what it did, and what stands
there afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID, uuid4

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from coordinator.inbox.handling import Handle, Patience, RecordHandling, each
from coordinator.inbox.ids import Ids
from coordinator.inbox.memory import Memory, Record

TOPIC = "orders"
IMPATIENT = Patience(attempts_max=2, wait_first_s=0.001, wait_max_s=0.001)

EFFECTS = """create table public.effects (
    n bigint generated always as identity, key text, value text not null)"""


def record(
    offset: int,
    key: str | None = "k",
    value: str | None = None,
    *,
    event_id: UUID | None = None,
    partition: int = 0,
) -> Record:
    """A record whose value is its offset, if no other is given, of an event of its own."""
    return Record(
        topic=TOPIC,
        partition=partition,
        offset=offset,
        key=None if key is None else key.encode(),
        value=(str(offset) if value is None else value).encode(),
        headers=[("ce_id", str(event_id or uuid4()).encode())],
        timestamp_ms=0,
    )


def make_effects(engine: Engine) -> None:
    """The table that `write_down` writes."""
    with engine.begin() as connection:
        connection.execute(text(EFFECTS))


def write_down(session: Session, one: Record) -> None:
    """A handler: each call is a row."""
    values = {"key": one.key and one.key.decode(), "value": (one.value or b"").decode()}
    session.execute(text("insert into public.effects (key, value) values (:key, :value)"), values)


def effects(engine: Engine, key: str | None = None) -> list[str]:
    """The values that were handled, in the order of their commits' rows; of one key, or of all."""
    query = "select value from public.effects where :key is null or key = :key order by n"
    with engine.connect() as connection:
        return list(
            connection.scalars(text(query.replace(":key", "cast(:key as text)")), {"key": key})
        )


def parked(engine: Engine) -> list[tuple[str, str | None]]:
    """Value and reason of what is parked and not discarded, in order."""
    query = "select value, reason from inbox.parked where discarded_at is null order by id"
    with engine.connect() as connection:
        return [
            (bytes(value).decode(), reason) for value, reason in connection.execute(text(query))
        ]


def parked_id(engine: Engine, value: str) -> int:
    """The id of the parked record with that value."""
    query = "select id from inbox.parked where value = :value"
    with engine.connect() as connection:
        return int(connection.execute(text(query), {"value": value.encode()}).scalar_one())


def handling(
    engine: Engine,
    handler: Callable[[Session, Record], object] = write_down,
    *,
    handle: Handle | None = None,
    memory: Memory | None = None,
    patience: Patience = IMPATIENT,
    pause: Callable[[float], None] = lambda _: None,
    is_ours: Callable[[Record], bool] = lambda _: True,
) -> RecordHandling:
    """What the loop uses, with a memory of ids if none is given, as the consumer "billing"."""
    return RecordHandling(
        engine,
        consumer="billing",
        memory=memory or Ids(),
        handle=handle or each(handler),
        patience=patience,
        pause=pause,
        is_ours=is_ours,
    )


def refusing(
    *values: str, error: type[Exception] = ValueError
) -> Callable[[Session, Record], None]:
    """A handler like `write_down` that writes, and then raises, for records of these values."""

    def handler(session: Session, one: Record) -> None:
        write_down(session, one)
        if one.value is not None and one.value.decode() in values:
            raise error("not today")

    return handler


def refusing_batches(*values: str) -> Callable[[Session, Sequence[Record]], None]:
    """The same for whole batches."""
    one_by_one = refusing(*values)

    def handler(session: Session, records: Sequence[Record]) -> None:
        for one in records:
            one_by_one(session, one)

    return handler
