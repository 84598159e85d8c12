"""Incidents: one for every run that did not succeed."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import insert
from sqlalchemy.orm import Session

from coordinator.domains.facade import FinishedRun
from coordinator.domains.tables import incidents
from coordinator.outcomes import DomainResult

INCIDENT = "incident"

# Built once: building a statement takes longer than sending it.
_INSERT = insert(incidents)


class IncidentFacade:
    """Writes the table `incidents`."""

    def create(self, session: Session, run: FinishedRun) -> DomainResult:
        """Create the incident of a run that did not succeed; say so where none is needed."""
        if run.succeeded:
            reason = "the run succeeded: no incident is needed"
            return DomainResult(INCIDENT, needed=False, detail={"reason": reason})
        incident_id = uuid4()
        session.execute(
            _INSERT,
            {
                "id": incident_id,
                "tenant_id": run.tenant_id,
                "run_id": run.run_id,
                "run_status": run.run_status.value,
                "agent_id": run.agent_id,
                "error_code": run.error_code,
                "error_message": run.error_message,
                "trace_id": run.trace_id,
                "is_synthetic": run.is_synthetic,
                "synthetic_scenario_id": run.synthetic_scenario_id,
            },
        )
        return DomainResult(INCIDENT, id=str(incident_id))
