"""The tables of what is done outside the database, and each statement on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    FetchedValue,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    Uuid,
    and_,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

metadata = MetaData(schema="public")

transaction_intents = Table(
    "transaction_intents",
    metadata,
    Column("attempt_id", Uuid, primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("key", ARRAY(Text), nullable=False),
    Column("call_id", Uuid, nullable=False),
    Column("action", Text, nullable=False),
    Column("undo", Text, nullable=False),
    Column("arguments", JSON, nullable=False),
    Column("failures", Integer, FetchedValue(), nullable=False),
    Column("last_error", Text),
    Column("created_at", DateTime(timezone=True), FetchedValue(), nullable=False),
    Index("transaction_intents_key_idx", "key"),
)

transaction_settlements = Table(
    "transaction_settlements", metadata, Column("attempt_id", Uuid, primary_key=True)
)

# Of its own, so that no lock of an event's key can be the same ("outside" as hexadecimal ASCII).
_LOCK_SEED = 0x6F757473696465

_SWEPT_AT_ONCE = 100

# An intent that a crash of the server takes back is an effect that nobody undoes. `local` and
# `remote_apply` stay as they are.
_DURABLE = text(
    "select set_config('synchronous_commit', 'on', true)"
    " where current_setting('synchronous_commit') = 'off'"
)
# set_config, as SET takes no bound value.
_WAIT_NO_LONGER_THAN = text("select set_config('lock_timeout', :limit, true)")

_IS_SETTLED = exists().where(
    transaction_settlements.c.attempt_id == transaction_intents.c.attempt_id
)
_INTENTS = select(
    transaction_intents.c.attempt_id,
    transaction_intents.c.ordinal,
    transaction_intents.c.key,
    transaction_intents.c.call_id,
    transaction_intents.c.action,
    transaction_intents.c.undo,
    cast(transaction_intents.c.arguments, Text).label("arguments"),
)


@dataclass(frozen=True, slots=True)
class Intent:
    """One action outside the database, as it stands in its row.

    Attributes:
        attempt_id: of which attempt; an attempt is one main transaction.
        ordinal: 0, 1, ... in the order of the actions.
        key, call_id: of the attempt's call.
        action: the action's name, for people.
        undo: the name under which the undo is registered.
        arguments: of both, as a JSON array.
    """

    attempt_id: UUID
    ordinal: int
    key: tuple[str, ...]
    call_id: UUID
    action: str
    undo: str
    arguments: str


def hold(connection: Connection, attempt_id: UUID) -> None:
    """Hold the attempt's lock to the end of this transaction; waits for who holds it."""
    connection.execute(select(func.pg_advisory_xact_lock(_lock_number(attempt_id))))


def try_to_hold(connection: Connection, attempt_id: UUID) -> bool:
    """Hold the attempt's lock if it is free; False if its transaction, or an undoing, is open."""
    return bool(connection.scalar(select(func.pg_try_advisory_xact_lock(_lock_number(attempt_id)))))


def wait_no_longer_than(connection: Connection, seconds: float) -> None:
    """Limit the waits for locks in this transaction."""
    connection.execute(_WAIT_NO_LONGER_THAN, {"limit": f"{max(1, int(seconds * 1000))}ms"})


def write(connection: Connection, intent: Intent) -> None:
    """Write an intent, so that no crash takes it back once this transaction is committed."""
    connection.execute(_DURABLE)
    row = {
        "attempt_id": intent.attempt_id,
        "ordinal": intent.ordinal,
        "key": list(intent.key),
        "call_id": intent.call_id,
        "action": intent.action,
        "undo": intent.undo,
        # Its text is made by us: an engine may have a JSON of its own.
        "arguments": cast(literal(intent.arguments, Text), JSON),
    }
    connection.execute(insert(transaction_intents).values(row))


def settle(connection: Connection, attempt_id: UUID) -> None:
    """Note in the attempt's own transaction that its effects stay if it is committed."""
    connection.execute(insert(transaction_settlements), {"attempt_id": attempt_id})


def sweep(connection: Connection) -> None:
    """Delete intents that are settled and their settlements, some of those that are there.

    Whoever can see a settlement knows that its attempt was committed, so anybody may do it.
    """
    some = (
        select(transaction_settlements.c.attempt_id)
        .limit(_SWEPT_AT_ONCE)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    swept = (
        delete(transaction_settlements)
        .where(transaction_settlements.c.attempt_id.in_(some))
        .returning(transaction_settlements.c.attempt_id)
        .cte("swept")
    )
    connection.execute(
        delete(transaction_intents).where(
            transaction_intents.c.attempt_id.in_(select(swept.c.attempt_id))
        )
    )


def unsettled(connection: Connection, key: Sequence[str] | None = None) -> list[Intent]:
    """Return the intents that no settlement can be seen of: running, or left by a dead process.

    The oldest attempt comes first, of each attempt the last action.

    Args:
        connection: where to look.
        key: of that key only; None for all.
    """
    first = func.min(transaction_intents.c.created_at).over(
        partition_by=transaction_intents.c.attempt_id
    )
    found = _INTENTS.where(~_IS_SETTLED).order_by(
        first, transaction_intents.c.attempt_id, transaction_intents.c.ordinal.desc()
    )
    if key is not None:
        found = found.where(transaction_intents.c.key == list(key))
    return [
        Intent(**{**row, "key": tuple(row["key"])}) for row in connection.execute(found).mappings()
    ]


def take(connection: Connection, intent: Intent) -> bool:
    """Lock the intent's row; False if it is gone or settled.

    A statement of its own after the one that got the attempt's lock: only its snapshot is sure to
    see how the attempt ended.
    """
    row = select(transaction_intents.c.ordinal).where(_is(intent), ~_IS_SETTLED)
    return connection.execute(row.with_for_update(of=transaction_intents)).one_or_none() is not None


def remove(connection: Connection, intent: Intent) -> None:
    """Delete an intent that was undone."""
    connection.execute(delete(transaction_intents).where(_is(intent)))


def keep(connection: Connection, intent: Intent, error: str | None) -> None:
    """Note at an intent that its undo failed, and with what error."""
    connection.execute(
        update(transaction_intents)
        .where(_is(intent))
        .values(failures=transaction_intents.c.failures + 1, last_error=error)
    )


def _is(intent: Intent) -> ColumnElement[bool]:
    return and_(
        transaction_intents.c.attempt_id == intent.attempt_id,
        transaction_intents.c.ordinal == intent.ordinal,
    )


def _lock_number(attempt_id: UUID) -> ColumnElement[int]:
    return func.hashtextextended(str(attempt_id), literal(_LOCK_SEED, BigInteger))
