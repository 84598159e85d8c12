"""Traces: started with a run, completed with it; exactly once, and by that run alone."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from coordinator.domains.facade import FinishedRun
from coordinator.domains.tables import traces
from coordinator.errors import InvalidRun, TraceRefused
from coordinator.outcomes import DomainResult
from coordinator.validation import check_name

TRACE = "trace"


_LOCK = (
    select(traces.c.tenant_id, traces.c.run_id, traces.c.status)
    .where(traces.c.id == bindparam("trace_id"))
    .with_for_update()
)
_COMPLETE = (
    update(traces)
    .where(traces.c.id == bindparam("trace_id"))
    .values(
        status="completed",
        run_status=bindparam("ended_as"),
        completed_at=func.clock_timestamp(),
    )
)


class TraceFacade:
    """Writes the table `traces`."""

    def start(
        self, session: Session, *, tenant_id: str, run_id: str, trace_id: str | None = None
    ) -> str:
        """Start a trace of a run in the caller's transaction, and return its id.

        Args:
            session: the caller commits.
            tenant_id, run_id: whose trace it is, 1 to 255 characters each.
            trace_id: 1 to 255 characters, unique among all traces; made if None.

        Raises:
            InvalidRun: an argument breaks its rule.
            sqlalchemy.exc.IntegrityError: there is a trace of this id.
        """
        trace_id = uuid4().hex if trace_id is None else trace_id
        row = {"id": trace_id, "tenant_id": tenant_id, "run_id": run_id}
        for field, value in row.items():
            check_name("trace_id" if field == "id" else field, value, InvalidRun)
        session.execute(insert(traces), row)
        return trace_id

    def check(self, session: Session, run: FinishedRun) -> None:
        """Lock the run's trace, and refuse one that cannot be completed.

        The lock holds from here to the commit: nothing can complete or move the trace in between.

        Raises:
            TraceRefused: it does not exist, belongs to another run or tenant, or is completed.
        """
        found = session.execute(_LOCK, {"trace_id": run.trace_id}).one_or_none()
        if found is None:
            raise TraceRefused(f"there is no trace {run.trace_id!r}")
        # Says nothing of whose it is: that is the other tenant's business.
        if (found.tenant_id, found.run_id) != (run.tenant_id, run.run_id):
            raise TraceRefused(f"trace {run.trace_id!r} is not of run {run.run_id!r}")
        if found.status != "open":
            raise TraceRefused(f"trace {run.trace_id!r} is {found.status}, not open")

    def complete(self, session: Session, run: FinishedRun) -> DomainResult:
        """Complete the trace that `check` has locked."""
        row = {"trace_id": run.trace_id, "ended_as": run.run_status.value}
        session.execute(_COMPLETE, row)
        return DomainResult(TRACE, id=run.trace_id)
