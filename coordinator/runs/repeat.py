"""The same (tenant, run) again: the first result, or a conflict that names the fields.

Naive: look for a result, do the work if there is none, write it. Two callers then both find none.
Here the claim is the first write, and its primary key decides: the second caller waits there for
the end of the first, and then reads its result, or gets the claim after a rollback.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Text, Uuid, func, literal, select
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Session

from coordinator.domains.tables import run_claims, run_completions
from coordinator.errors import FacadeEndedTransaction, RunConflict
from coordinator.outcomes import TransactionResult


@dataclass(frozen=True, slots=True)
class RunCall:
    """One call of `execute`.

    Attributes:
        tenant_id, run_id: which run.
        call_id: made anew for each call, kept over its attempts: so a call knows its own result
            when the commit's reply was lost.
        arguments: all others, as JSON values; a repeat must bring the same.
    """

    tenant_id: str
    run_id: str
    call_id: UUID
    arguments: Mapping[str, Any]


def claim(session: Session, call: RunCall) -> TransactionResult | None:
    """Claim the run for this transaction, or return the result that an earlier one recorded.

    With the claim comes the lock of the events' key, the run's id: two tenants may use the same,
    and events of one key must be written in commit order. A writer of other events under this key
    takes the same lock first: `pg_advisory_xact_lock(hashtextextended(key, 0))`.

    Raises:
        RunConflict: the run was completed before, with other arguments.
    """
    key_lock = select(func.pg_advisory_xact_lock(func.hashtextextended(call.run_id, 0))).cte(
        "key_lock"
    )
    row = select(literal(call.tenant_id, Text), literal(call.run_id, Text)).select_from(key_lock)
    claimed = session.execute(
        insert(run_claims)
        .from_select(["tenant_id", "run_id"], row)
        .on_conflict_do_nothing()
        .returning(run_claims.c.run_id)
    ).one_or_none()
    return None if claimed is not None else _recorded(session, call)


def record(session: Session, call: RunCall, result: TransactionResult) -> None:
    """Write the result that a repeat gets, last of all.

    Raises:
        FacadeEndedTransaction: the claim is gone: a domain rolled back through the raw driver's
            connection, and with it what the others had written.
    """
    claimed = select(
        run_claims.c.tenant_id,
        run_claims.c.run_id,
        literal(call.call_id, Uuid),
        literal(dict(call.arguments), JSONB),
        literal(result.to_dict(), JSONB),
    ).where(run_claims.c.tenant_id == call.tenant_id, run_claims.c.run_id == call.run_id)
    written = session.execute(
        plain_insert(run_completions)
        .from_select(["tenant_id", "run_id", "call_id", "arguments", "result"], claimed)
        .returning(run_completions.c.run_id)
    ).one_or_none()
    if written is None:
        raise FacadeEndedTransaction("of a domain", "rollback() on the driver's connection")


def _recorded(session: Session, call: RunCall) -> TransactionResult:
    found = session.execute(
        select(run_completions).where(
            run_completions.c.tenant_id == call.tenant_id,
            run_completions.c.run_id == call.run_id,
        )
    ).one()
    differing = tuple(
        name for name, value in call.arguments.items() if found.arguments.get(name) != value
    )
    if differing:
        raise RunConflict(call.tenant_id, call.run_id, differing)
    return TransactionResult.from_dict(found.result, replayed=found.call_id != call.call_id)
