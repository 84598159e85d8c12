"""One coordinator, shared by 16 threads: no run sees anything of another."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine, select

from coordinator import RunCompletionTransaction, TransactionResult
from coordinator.domains.tables import incidents
from coordinator.outbox.table import outbox_event

THREADS = 16
RUNS = 160


def test_sixteen_threads_share_a_coordinator_without_mixing_their_runs(
    coordinator: RunCompletionTransaction, engine: Engine
) -> None:
    def complete(number: int) -> TransactionResult:
        return coordinator.execute(
            run_id=f"run-{number}",
            tenant_id=f"tenant-{number}",
            run_status="failed",
            agent_id=f"agent-{number}",
            error_message=f"message-{number}",
        )

    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(complete, range(RUNS)))

    assert [result.run_id for result in results] == [f"run-{number}" for number in range(RUNS)]
    with engine.connect() as connection:
        rows = connection.execute(select(incidents)).all()
        events = connection.execute(select(outbox_event)).all()
    assert {(row.run_id, row.tenant_id, row.agent_id, row.error_message) for row in rows} == {
        (f"run-{n}", f"tenant-{n}", f"agent-{n}", f"message-{n}") for n in range(RUNS)
    }
    incident_of = {result.run_id: result.results["incident"].id for result in results}
    told = [json.loads(event.payload) for event in events if event.type == "incident.created"]
    assert {data["run_id"]: data["incident_id"] for data in told} == incident_of
    assert len(events) == 3 * RUNS
