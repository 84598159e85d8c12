"""Whether a recorded transaction is published: its record is asked, by way of the relay's cursor.

Naive: remember the transaction's id and look whether the cursor covers it. But a transaction that
was rolled back is covered as well, and so may be another one that got the same id after a crash
that took this commit back. The record cannot be mistaken: it is there if, and only if, this call's
commit is, and holds the id. So each look is one statement that finds the record and asks of its id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from functools import cache
from threading import Event
from uuid import UUID

from sqlalchemy import Select, Table, Uuid, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from coordinator.errors import WrongUse
from coordinator.outbox_schema import DEFAULT
from coordinator.publication import pauses

# Each look is a statement of its own, outside any transaction: it sees what is committed by then,
# also under an engine whose default is REPEATABLE READ, and leaves nothing to roll back.
_ALONE = "AUTOCOMMIT"


@cache
def look_for(records: Table, *found_by: str, schema: str = DEFAULT) -> Select[tuple[bool]]:
    """Build the statement that finds one record by its columns, and asks of its events.

    Once, as building it takes longer than sending it: most results are never asked.

    Args:
        records: where the records stand, with the column `txid`.
        found_by: columns that together find one record of one call.
        schema: of the outbox in which the events are.
    """
    # Not `func`: it does not quote a schema whose name is a word of SQL.
    published = text(f'"{schema}".is_published({records.name}.txid, :events)').bindparams(
        bindparam("events", type_=ARRAY(Uuid))
    )
    return (
        select(published)
        .select_from(records)
        .where(
            *(records.c[name] == bindparam(name, type_=records.c[name].type) for name in found_by)
        )
    )


class RecordedPublication:
    """A Publication that looks for a record of a call, on connections of the call's engine."""

    def __init__(
        self,
        session: Session,
        look: Select[tuple[bool]],
        found: Mapping[str, object],
        events: Iterable[UUID],
    ) -> None:
        """Remember whom to ask, and what.

        Args:
            session: on the engine that is to be asked; nothing is done on it.
            look: see `look_for`.
            found: the values that find the one record of this call, by column.
            events: ids of its events.
        """
        self._engine = session.connection().engine
        self._look = look
        self._asked = {**found, "events": list(events)}

    def wait(self, timeout_s: float) -> bool:
        """See Publication.wait.

        Raises:
            WrongUse: the engine is asynchronous.
        """
        if self._engine.dialect.is_async:
            raise WrongUse("the engine is asynchronous: `await result.await_published(...)`")
        for pause_s in pauses(timeout_s):
            Event().wait(pause_s)
            if self._ask():
                return True
        return False

    async def wait_async(self, timeout_s: float) -> bool:
        """See Publication.wait_async."""
        for pause_s in pauses(timeout_s):
            await asyncio.sleep(pause_s)
            if await self._ask_without_blocking():
                return True
        return False

    def _ask(self) -> bool:
        with self._engine.connect() as connection:
            alone = connection.execution_options(isolation_level=_ALONE)
            return bool(alone.scalar(self._look, self._asked))

    async def _ask_without_blocking(self) -> bool:
        if not self._engine.dialect.is_async:
            return await asyncio.to_thread(self._ask)
        # Only here: this import fails where SQLAlchemy was installed without asyncio.
        from sqlalchemy.ext.asyncio import AsyncEngine  # noqa: PLC0415 - see above

        async with AsyncEngine(self._engine).connect() as connection:
            alone = await connection.execution_options(isolation_level=_ALONE)
            return bool(await alone.scalar(self._look, self._asked))
