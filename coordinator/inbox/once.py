"""Each event once: its idempotency key is noted in the transaction of the consumer's own writes.

The relay delivers at least once, so a consumer sees some events again. Naive: look whether the key
is known, act, note it. Two consumers that hold the same event (a rebalance) then both look before
either notes. Here the note comes first and its primary key decides: the second waits for the first
one's commit, and then finds the key taken, or gets it after a rollback. `inbox.take` does that, and
has the argument why it still holds while old keys are forgotten.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    FetchedValue,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    cast,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from coordinator.autocommit import refuse_autocommit
from coordinator.errors import BadInput, WrongUse
from coordinator.validation import check_name

metadata = MetaData(schema="inbox")

inbox_seen = Table(
    "seen",
    metadata,
    Column("consumer", Text, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("seen_at", DateTime(timezone=True), FetchedValue(), nullable=False),
    Column("slot", SmallInteger, FetchedValue(), nullable=False),
)


def once(session: Session | Connection, event_id: UUID, *, consumer: str) -> bool:
    """Tell whether `consumer` sees this event for the first time; see `first_seen`."""
    return bool(first_seen(session, [event_id], consumer=consumer))


def first_seen(
    session: Session | Connection, event_ids: Collection[UUID], *, consumer: str
) -> set[UUID]:
    """Return those of `event_ids` that `consumer` has not taken before, and note them.

    One statement, however many they are. An event is remembered for at least 7 days
    (`inbox.generation.keep_for`); one that comes again later is new.

    The note is part of the transaction of `session`: write what the events cause in it, then commit
    both.

    Args:
        session: a Session or Connection; the caller commits.
        event_ids: `ce_id` of the records; one that occurs twice counts once.
        consumer: who takes them, 1 to 255 characters; consumers of other names have a memory of
            their own.

    Raises:
        BadInput: `consumer` breaks its rule.
        WrongUse: `session` is neither.
        NoTransaction: the connection is in autocommit: the event could be noted and its effect
            lost.
        OperationalError: a serialisation failure: in REPEATABLE READ or SERIALIZABLE the snapshot
            is older than what another transaction took, or than a change of slots; do it again.
    """
    check_name("consumer", consumer, BadInput)
    if not isinstance(session, Session | Connection):
        raise WrongUse(
            f"cannot note events on a {type(session).__name__}: hand in a Session or Connection of "
            "SQLAlchemy, or ask in SQL: select inbox.take(consumer, array_of_ids)"
        )
    refuse_autocommit(session.connection() if isinstance(session, Session) else session)
    if not event_ids:
        return set()
    # As one text: drivers take five times as long to write an array of so many elements.
    ids = cast(literal(f"{{{','.join([one.hex for one in event_ids])}}}", Text), ARRAY(Uuid))
    taken = func.inbox.take(literal(consumer, Text), ids, type_=Uuid)
    return set(session.execute(select(taken)).scalars())
