"""What becomes of parked records: an operator releases or discards them, the loop does the rest.

    release(session, 17, by="ada")                                   # and all behind it, in order
    discard(session, 17, by="ada", why="sent twice by hand, see INC-7")

Both only note what is wanted. The loop (or `handle_released`) then hands a released hold's records
to the handler, oldest first, each in one transaction with the removal of its row: a crash repeats
nothing, and the next record waits until this one is done. One that fails again stays, with what is
behind it, until it is released again. Records that come in meanwhile wait for the transaction in
hand, and then join the queue or find the key free.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Engine, Row, delete, func, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from coordinator.errors import BadInput
from coordinator.inbox.handling import Handle, HandlerFailed
from coordinator.inbox.parking import inbox_hold, inbox_parked, reason_of, record_of
from coordinator.session_guard import GuardedSession, guarded, watch
from coordinator.transient import is_transient
from coordinator.validation import check_name

__all__ = ["discard", "handle_released", "release"]

_WAITING: Final = inbox_parked.c.discarded_at.is_(None)


def release(session: Session | Connection, parked_id: int, *, by: str) -> None:
    """Ask that a parked record and those behind it be handled again; the caller commits.

    Args:
        session: a Session or Connection.
        parked_id: `inbox.parked.id` of any record of the key.
        by: who asks, 1 to 255 characters; kept until it is done.

    Raises:
        BadInput: no such record is waiting.
    """
    check_name("by", by, BadInput)
    hold_id = _lock_hold_of(session, parked_id)
    asked = {"released_by": by, "released_at": func.clock_timestamp()}
    session.execute(update(inbox_hold).where(inbox_hold.c.id == hold_id).values(asked))


def discard(session: Session | Connection, parked_id: int, *, by: str, why: str) -> None:
    """Give a parked record up: it is never handled. Those behind it wait on for their release.

    Its row stays as evidence, with who did it, when and why. The caller commits.

    Args:
        session: a Session or Connection.
        parked_id: `inbox.parked.id`.
        by: who does it, 1 to 255 characters.
        why: the reason, 1 to 2,000 characters.

    Raises:
        BadInput: no such record is waiting.
    """
    check_name("by", by, BadInput)
    check_name("why", why, BadInput, 2_000)
    hold_id = _lock_hold_of(session, parked_id)
    given_up = {"discarded_by": by, "discarded_why": why, "discarded_at": func.clock_timestamp()}
    this = inbox_parked.c.id == parked_id
    session.execute(update(inbox_parked).where(this, _WAITING).values(hold_id=None, **given_up))
    _drop_if_empty(session, hold_id)


def handle_released(
    engine: Engine, consumer: str, handle: Handle, *, records_max: int | None = None
) -> int:
    """Hand the records of released holds to the handler; returns how many it took.

    Args:
        engine: of the consumer's database.
        consumer: the consumer's name.
        handle: the handler, in `each` or `whole`.
        records_max: stop after so many; None is all.

    Raises:
        WrongUse: see `RecordHandling.finish`.
        SQLAlchemyError: the database; what was handled before it stays so.
    """
    watch(engine)
    released = select(inbox_hold.c.id).where(
        inbox_hold.c.consumer == consumer, inbox_hold.c.released_at.is_not(None)
    )
    with Session(engine) as session:
        hold_ids = session.execute(released.order_by(inbox_hold.c.released_at)).scalars().all()
    taken = 0
    for hold_id in hold_ids:
        while taken != records_max and _handle_first(engine, hold_id, handle):
            taken += 1
    return taken


def _handle_first(engine: Engine, hold_id: int, handle: Handle) -> bool:
    """Handle the oldest record of a hold; False if there is none, or it failed again."""
    first: Row[Any] | None = None
    try:
        with GuardedSession(engine) as session, session.begin():
            first = _first_released(session, hold_id)
            if first is None:
                return False
            session.execute(delete(inbox_parked).where(inbox_parked.c.id == first.id))
            with guarded(session, first.consumer, acts_outside=True):
                handle(session, [record_of(first)])
            session.flush()
            _drop_if_empty(session, hold_id)
    except (HandlerFailed, DBAPIError) as failure:
        if is_transient(failure) or first is None:
            raise
        _park_again(engine, first, reason_of(failure.__cause__ or failure))
        return False
    return True


def _first_released(session: Session, hold_id: int) -> Row[Any] | None:
    # Another process may have it in hand: it does the rest as well.
    if not _lock(session, inbox_hold.c.id == hold_id, inbox_hold.c.released_at.is_not(None)):
        return None
    oldest = (
        select(inbox_parked)
        .where(inbox_parked.c.hold_id == hold_id, _WAITING)
        .order_by(inbox_parked.c.id)
        .limit(1)
    )
    return session.execute(oldest).first()


def _park_again(engine: Engine, row: Row[Any], reason: str) -> None:
    with Session(engine) as session, session.begin():
        this = inbox_parked.c.id == row.id
        session.execute(update(inbox_parked).where(this).values(reason=reason))
        asked = {"released_by": None, "released_at": None}
        session.execute(update(inbox_hold).where(inbox_hold.c.id == row.hold_id).values(asked))


def _lock(session: Session | Connection, *which: ColumnElement[bool]) -> bool:
    return (
        session.execute(select(inbox_hold.c.id).where(*which).with_for_update()).first() is not None
    )


def _lock_hold_of(session: Session | Connection, parked_id: int) -> int:
    """Lock the key of a waiting record; it may have been handled until just now."""
    hold_id = select(inbox_parked.c.hold_id).where(inbox_parked.c.id == parked_id, _WAITING)
    found: int | None = session.execute(hold_id).scalar()
    if found is not None:
        _lock(session, inbox_hold.c.id == found)
        if session.execute(hold_id).first() is None:
            found = None
    if found is None:
        raise BadInput("parked_id", f"no record {parked_id} is waiting in inbox.parked")
    return found


def _drop_if_empty(session: Session | Connection, hold_id: int) -> None:
    # Its lock is held, so no record can join the queue between the two.
    waiting = select(inbox_parked.c.id).where(inbox_parked.c.hold_id == hold_id)
    if session.execute(waiting.limit(1)).first() is None:
        session.execute(delete(inbox_hold).where(inbox_hold.c.id == hold_id))
