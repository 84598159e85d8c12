"""Governance: what the policies say of a run."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import insert
from sqlalchemy.orm import Session

from coordinator.domains.facade import FinishedRun
from coordinator.domains.tables import policy_evaluations
from coordinator.outcomes import DomainResult

GOVERNANCE = "governance"

POLICY = "run-must-succeed"

# Built once: building a statement takes longer than sending it.
_INSERT = insert(policy_evaluations)


class GovernanceFacade:
    """Writes the table `policy_evaluations`, with the one policy that every run has: to succeed."""

    def evaluate(self, session: Session, run: FinishedRun) -> DomainResult:
        """Write what the policy says of the run."""
        evaluation_id = uuid4()
        outcome = "compliant" if run.succeeded else "violated"
        session.execute(
            _INSERT,
            {
                "id": evaluation_id,
                "tenant_id": run.tenant_id,
                "run_id": run.run_id,
                "policy": POLICY,
                "outcome": outcome,
                "reason": f"the run ended as {run.run_status.value}",
                "is_synthetic": run.is_synthetic,
            },
        )
        detail = {"policy": POLICY, "outcome": outcome}
        return DomainResult(GOVERNANCE, id=str(evaluation_id), detail=detail)
