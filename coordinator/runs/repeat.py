"""The same (tenant, run) again: the first result, or a conflict that names the fields.

The claim is the first write, and its primary key decides between two callers; see
`coordinator.engine.claims`, whose tables serve any key. Runs have theirs, with columns to ask for.
"""

from __future__ import annotations

from dataclasses import asdict
from uuid import UUID, uuid4

from sqlalchemy import Text, Uuid, func, literal, select
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Session

from coordinator.domains.tables import domain_acks, run_claims, run_completions
from coordinator.engine.memory import Call
from coordinator.engine.published import RecordedPublication
from coordinator.engine.work import Transaction
from coordinator.errors import FacadeEndedTransaction, RunConflict
from coordinator.outcomes import DomainAck, TransactionResult
from coordinator.phases import TransactionPhase


class CompletedRuns:
    """A Memory in the tables `run_claims`, `run_completions` and `domain_acks`.

    A call's key is (tenant_id, run_id).
    """

    def __init__(self, *, events_are_in_outbox: bool) -> None:
        """Tell whether the events go to the outbox: what is published is known of those alone."""
        self._events_are_in_outbox = events_are_in_outbox

    def claim(self, session: Session, call: Call) -> TransactionResult | None:
        """Claim the run for this transaction, or return the result that an earlier one recorded.

        With the claim comes the lock of the events' key, the run's id: two tenants may use the
        same, and events of one key must be written in commit order. A writer of other events under
        this key takes the same lock first: `pg_advisory_xact_lock(hashtextextended(key, 0))`.

        Raises:
            RunConflict: the run was completed before, with other arguments.
        """
        tenant_id, run_id = call.key
        key_lock = select(func.pg_advisory_xact_lock(func.hashtextextended(run_id, 0))).cte(
            "key_lock"
        )
        row = select(literal(tenant_id, Text), literal(run_id, Text)).select_from(key_lock)
        claimed = session.execute(
            insert(run_claims)
            .from_select(["tenant_id", "run_id"], row)
            .on_conflict_do_nothing()
            .returning(run_claims.c.run_id)
        ).one_or_none()
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
        claimed = select(
            run_claims.c.tenant_id,
            run_claims.c.run_id,
            literal(call.call_id, Uuid),
            literal(dict(call.arguments), JSONB),
            literal(result.to_dict(), JSONB),
        ).where(run_claims.c.tenant_id == tenant_id, run_claims.c.run_id == run_id)
        written = session.execute(
            plain_insert(run_completions)
            .from_select(["tenant_id", "run_id", "call_id", "arguments", "result"], claimed)
            .returning(run_completions.c.run_id)
        ).one_or_none()
        if written is None:
            raise FacadeEndedTransaction("of a domain", "rollback() on the driver's connection")
        return self._publishable(session, result, call.call_id)

    def acknowledge(self, session: Session, call: Call, ack: DomainAck) -> None:
        """Write what became of a rollback action."""
        tenant_id, run_id = call.key
        row = {"id": uuid4(), "tenant_id": tenant_id, "run_id": run_id, "call_id": call.call_id}
        session.execute(plain_insert(domain_acks), row | asdict(ack))

    def _recorded(self, session: Session, call: Call) -> TransactionResult:
        tenant_id, run_id = call.key
        columns = run_completions.c
        found = session.execute(
            select(columns.call_id, columns.arguments, columns.result).where(
                columns.tenant_id == tenant_id, columns.run_id == run_id
            )
        ).one()
        if differing := call.differing(found.arguments):
            raise RunConflict(tenant_id, run_id, differing)
        replayed = found.call_id != call.call_id
        result = TransactionResult.from_dict(found.result, replayed=replayed)
        return self._publishable(session, result, found.call_id)

    def _publishable(
        self, session: Session, result: TransactionResult, call_id: UUID
    ) -> TransactionResult:
        if not self._events_are_in_outbox:
            return result
        columns = run_completions.c
        found = (
            columns.tenant_id == result.tenant_id,
            columns.run_id == result.run_id,
            columns.call_id == call_id,
        )
        events = result.event_ids.values()
        return result.known_by(RecordedPublication(session, run_completions, *found, events=events))
