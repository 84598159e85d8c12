"""Parked records: what a handler cannot take is set aside, and later records of its key behind it.

Naive: put the record into a table and go on. The next record of its key then overtakes it, and what
it does cannot be repaired when the first one is handled at last. So its key is held back: each
later record of the key joins the queue, others flow on. The hold is a row of its own and is the
key's lock (see `inbox.hold`): a record cannot join a queue whose last record is being handled at
that moment by another transaction, to wait there for ever.

Whatever is parked has been taken as far as the memory is concerned, in the same transaction. So a
repeat of it is dropped as any other, and its row alone says that it is still to be handled.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    FetchedValue,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Row,
    Table,
    Text,
    Uuid,
    and_,
    any_,
    func,
    insert,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from coordinator.inbox.memory import Record
from coordinator.inbox.once import metadata

__all__ = ["inbox_hold", "inbox_parked", "park", "park_behind", "reason_of", "record_of"]

_REASON_CHARS_MAX: Final = 300

inbox_hold = Table(
    "hold",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("consumer", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("key", LargeBinary),
    Column("released_by", Text),
    Column("released_at", DateTime(timezone=True)),
)
# By its hash: a key may have more bytes than an entry of a B-tree.
_HASH = func.sha256(inbox_hold.c.key)
Index("hold_key", inbox_hold.c.consumer, inbox_hold.c.topic, _HASH, unique=True)

inbox_parked = Table(
    "parked",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("hold_id", BigInteger, ForeignKey(inbox_hold.c.id)),
    Column("consumer", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("key", LargeBinary),
    Column("value", LargeBinary),
    Column("header_names", ARRAY(Text), nullable=False),
    Column("header_values", ARRAY(LargeBinary), nullable=False),
    Column("timestamp_ms", BigInteger, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("reason", Text),
    Column("parked_at", DateTime(timezone=True), FetchedValue(), nullable=False),
    Column("discarded_at", DateTime(timezone=True)),
    Column("discarded_by", Text),
    Column("discarded_why", Text),
    Index("parked_hold_idx", "hold_id", "id"),
)
Index(
    "parked_place",
    inbox_parked.c.consumer,
    inbox_parked.c.topic,
    inbox_parked.c.partition,
    inbox_parked.c.offset,
    # In a topic that was made anew another event has the place.
    inbox_parked.c.event_id,
    unique=True,
    postgresql_where=inbox_parked.c.discarded_at.is_(None),
)


def park_behind(session: Session, consumer: str, records: Sequence[Record]) -> list[Record]:
    """Park the records whose key is held back, and return the others.

    Must come after the memory: a record that another transaction is parking at this moment was
    waited for there, and its hold is seen here.
    """
    held_at_all = select(literal(1)).where(inbox_hold.c.consumer == consumer).limit(1)
    keys = {record.key for record in records if record.key is not None}
    if not keys or session.execute(held_at_all).first() is None:
        return list(records)
    holds = _lock_holds(session, consumer, keys)
    behind = [record for record in records if (record.topic, record.key) in holds]
    if behind:
        rows = [_row(consumer, one, holds[one.topic, one.key], reason=None) for one in behind]
        session.execute(upsert(inbox_parked).on_conflict_do_nothing(), rows)
    return [record for record in records if (record.topic, record.key) not in holds]


def park(session: Session, consumer: str, record: Record, reason: str) -> None:
    """Park a record and hold its key back; nothing if that very record is parked already."""
    table = inbox_parked.c
    parked = select(table.id).where(
        and_(
            table.consumer == consumer,
            table.topic == record.topic,
            table.partition == record.partition,
            table.offset == record.offset,
            table.event_id == record.event_id,
            table.discarded_at.is_(None),
        )
    )
    if session.execute(parked).first() is None:
        hold_id = _hold(session, consumer, record)
        session.execute(insert(inbox_parked), [_row(consumer, record, hold_id, reason)])


def record_of(row: Row[Any]) -> Record:
    """Return the record as it came, from its row."""
    return Record(
        topic=row.topic,
        partition=row.partition,
        offset=row.offset,
        key=row.key,
        value=row.value,
        headers=list(zip(row.header_names, row.header_values, strict=True)),
        timestamp_ms=row.timestamp_ms,
    )


def reason_of(error: BaseException) -> str:
    """Say why in one line: the class and the first line of the message, cut to 300 characters.

    Of a database's error that is the server's own line: SQLAlchemy's message goes on with the
    statement and its values, and the server's detail quotes them too.
    """
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    line = next(iter(str(cause).splitlines()), "")
    printable = "".join(one if one.isprintable() else "?" for one in line)
    text = f"{type(cause).__name__}: {printable}" if printable else type(cause).__name__
    return text[:_REASON_CHARS_MAX]


def _lock_holds(
    session: Session, consumer: str, keys: set[bytes]
) -> dict[tuple[str, bytes | None], int]:
    """Return the ids of the holds; none of them can go before the session's transaction ends."""
    held = (
        select(inbox_hold.c.topic, inbox_hold.c.key, inbox_hold.c.id)
        .where(
            inbox_hold.c.consumer == consumer,
            any_(literal([sha256(key).digest() for key in keys], ARRAY(LargeBinary))) == _HASH,
        )
        .order_by(inbox_hold.c.id)  # two that lock several wait for each other in one direction
        .with_for_update(read=True, key_share=True)
    )
    return {(row.topic, row.key): row.id for row in session.execute(held)}


def _hold(session: Session, consumer: str, record: Record) -> int:
    values = {"consumer": consumer, "topic": record.topic, "key": record.key}
    added = upsert(inbox_hold).values(values)
    # "Do nothing" would return nothing; this also locks the hold that is there. A key that is null
    # conflicts with none: such a record holds back only itself.
    found = added.on_conflict_do_update(
        index_elements=[inbox_hold.c.consumer, inbox_hold.c.topic, _HASH],
        set_={"topic": added.excluded.topic},
    ).returning(inbox_hold.c.id)
    hold_id: int = session.execute(found).scalar_one()
    return hold_id


def _row(consumer: str, record: Record, hold_id: int, reason: str | None) -> dict[str, Any]:
    return {
        "hold_id": hold_id,
        "consumer": consumer,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "key": record.key,
        "value": record.value,
        # PostgreSQL's text has no NUL, and a record that cannot be parked would stop its consumer.
        "header_names": [name.replace("\0", "\ufffd") for name, _ in record.headers],
        "header_values": [value for _, value in record.headers],
        "timestamp_ms": record.timestamp_ms,
        "event_id": record.event_id,
        "reason": reason,
    }
