"""The same (tenant, run) again: the first result, or a conflict that names the fields.

The claim is the first write, and its primary key decides between two callers; see
`coordinator.engine.claims`, whose tables serve any key. Runs have theirs, with columns to ask for.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Text, Uuid, bindparam, func, select
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Session

from coordinator.domains.tables import domain_acks, run_claims, run_completions
from coordinator.engine.memory import Call
from coordinator.engine.published import RecordedPublication, look_for
from coordinator.engine.work import Transaction
from coordinator.errors import FacadeEndedTransaction, RunConflict
from coordinator.outbox.writer import Outbox
from coordinator.outcomes import DomainAck, TransactionResult
from coordinator.phases import TransactionPhase

# All statements are built once: building one takes longer than sending it.
_KEY_LOCK = select(
    func.pg_advisory_xact_lock(func.hashtextextended(bindparam("run_id", type_=Text), 0))
).cte("key_lock")
_CLAIM = (
    insert(run_claims)
    .from_select(
        ["tenant_id", "run_id"],
        select(bindparam("tenant_id", type_=Text), bindparam("run_id", type_=Text)).select_from(
            _KEY_LOCK
        ),
    )
    .on_conflict_do_nothing()
    .returning(run_claims.c.run_id)
)
_RECORD = (
    plain_insert(run_completions)
    .from_select(
        ["tenant_id", "run_id", "call_id", "arguments", "result"],
        select(
            run_claims.c.tenant_id,
            run_claims.c.run_id,
            bindparam("call_id", type_=Uuid),
            bindparam("arguments", type_=JSONB),
            bindparam("result", type_=JSONB),
        ).where(
            run_claims.c.tenant_id == bindparam("tenant_id"),
            run_claims.c.run_id == bindparam("run_id"),
        ),
    )
    .returning(run_completions.c.run_id)
)
_RECORDED = select(
    run_completions.c.call_id, run_completions.c.arguments, run_completions.c.result
).where(
    run_completions.c.tenant_id == bindparam("tenant_id"),
    run_completions.c.run_id == bindparam("run_id"),
)


class CompletedRuns:
    """A Memory in the tables `run_claims`, `run_completions` and `domain_acks`.

    A call's key is (tenant_id, run_id).
    """

    def __init__(self, outbox: Outbox | None) -> None:
        """Tell to which outbox the events go, if to one: of others nobody knows when."""
        self._look = (
            None
            if outbox is None
            else look_for(run_completions, "tenant_id", "run_id", "call_id", schema=outbox.schema)
        )

    def claim(self, session: Session, call: Call) -> TransactionResult | None:
        """Claim the run for this transaction, or return the result that an earlier one recorded.

        With the claim comes the lock of the events' key, the run's id: two tenants may use the
        same, and events of one key must be written in commit order. A writer of other events under
        this key takes the same lock first: `pg_advisory_xact_lock(hashtextextended(key, 0))`.

        Raises:
            RunConflict: the run was completed before, with other arguments.
        """
        claimed = session.execute(_CLAIM, _key(call)).one_or_none()
        return None if claimed is not None else self._recorded(session, call)

    def record(self, session: Session, call: Call, work: Transaction) -> TransactionResult:
        """Write the result that a repeat gets, last of all, and return it.

        Raises:
            FacadeEndedTransaction: the claim is gone: a domain rolled back through the raw driver's
                connection, and with it what the others had written.
        """
        tenant_id, run_id = call.key
        result = TransactionResult(
            tenant_id=tenant_id,
            run_id=run_id,
            phase=TransactionPhase.COMMITTED,
            results=dict(work.results),
            event_ids={event.type: event.id for event in work.events},
        )
        row = {
            **_key(call),
            "call_id": call.call_id,
            "arguments": dict(call.arguments),
            "result": result.to_dict(),
        }
        written = session.execute(_RECORD, row).one_or_none()
        if written is None:
            raise FacadeEndedTransaction("of a domain", "rollback() on the driver's connection")
        return self._publishable(session, result, call.call_id)

    def acknowledge(self, session: Session, call: Call, ack: DomainAck) -> None:
        """Write what became of a rollback action."""
        tenant_id, run_id = call.key
        row = {"id": uuid4(), "tenant_id": tenant_id, "run_id": run_id, "call_id": call.call_id}
        session.execute(plain_insert(domain_acks), row | asdict(ack))

    def _recorded(self, session: Session, call: Call) -> TransactionResult:
        found = session.execute(_RECORDED, _key(call)).one()
        if differing := call.differing(found.arguments):
            tenant_id, run_id = call.key
            raise RunConflict(tenant_id, run_id, differing)
        replayed = found.call_id != call.call_id
        result = TransactionResult.from_dict(found.result, replayed=replayed)
        return self._publishable(session, result, found.call_id)

    def _publishable(
        self, session: Session, result: TransactionResult, call_id: UUID
    ) -> TransactionResult:
        if self._look is None:
            return result
        found = {"tenant_id": result.tenant_id, "run_id": result.run_id, "call_id": call_id}
        events = result.event_ids.values()
        return result.known_by(RecordedPublication(session, self._look, found, events))


def _key(call: Call) -> dict[str, Any]:
    return dict(zip(("tenant_id", "run_id"), call.key, strict=True))
