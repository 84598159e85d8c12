"""A failed run's completion as one writes it by hand in psycopg: the same rows as `execute`.

Twice: statement by statement, and as well as it can be done. There, all statements go to the server
in one pipeline and BEGIN with them. What has to be true before the commit (the run was not done
before, its trace was open) is asked of the statements themselves, by how many rows they changed; so
the commit is the second round trip, and there is no third. The events are one statement in both.

Left out is what makes such code long: a repeat that gets the first result, errors that name their
domain, retries, and a commit whose reply is lost.
"""

from __future__ import annotations

import json
from typing import Any, Final
from uuid import UUID, uuid4, uuid5

import psycopg
from psycopg.types.json import Jsonb

from relay.errors import RelayError

__all__ = ["ERROR_CODE", "complete", "complete_in_a_pipeline"]

ERROR_CODE: Final = "E42"

_NAMESPACE: Final = UUID(int=1)
_TOPIC: Final = "runs"

_CLAIM: Final = """
with key_lock as (select pg_advisory_xact_lock(hashtextextended(%(run_id)s, 0)))
insert into public.run_claims (tenant_id, run_id)
select %(tenant_id)s::text, %(run_id)s::text from key_lock
on conflict do nothing
"""
_INCIDENT: Final = """
insert into public.incidents (id, tenant_id, run_id, run_status, error_code, trace_id, is_synthetic)
values (%(incident_id)s, %(tenant_id)s, %(run_id)s, 'failed', %(error_code)s, %(trace_id)s, false)
"""
_EVALUATION: Final = """
insert into public.policy_evaluations (id, tenant_id, run_id, policy, outcome, reason, is_synthetic)
values (%(evaluation_id)s, %(tenant_id)s, %(run_id)s, 'run-must-succeed', 'violated',
        'the run ended as failed', false)
"""
_TRACE: Final = """
update public.traces
set status = 'completed', run_status = 'failed', completed_at = clock_timestamp()
where id = %(trace_id)s and tenant_id = %(tenant_id)s and run_id = %(run_id)s and status = 'open'
"""
_EVENT: Final = "(%b::uuid, %b::text, %b::text, %b::text, 'application/json', %b::bytea)"
_EVENTS: Final = f"""
insert into outbox.event (id, topic, key, type, content_type, payload)
values {", ".join([_EVENT] * 4)}
"""  # noqa: S608 - put together from the constants above
_RECORD: Final = """
insert into public.run_completions (tenant_id, run_id, call_id, arguments, result)
values (%(tenant_id)s, %(run_id)s, %(call_id)s, %(arguments)s, %(result)s)
"""

_Connection = psycopg.Connection[Any]
_Row = dict[str, Any]


def complete(connection: _Connection, tenant_id: str, run_id: str, trace_id: str) -> None:
    """Complete a failed run, statement by statement."""
    row = _row(tenant_id, run_id, trace_id)
    with connection.transaction():
        _must_be_one(connection.execute(_CLAIM, row))
        connection.execute(_INCIDENT, row)
        connection.execute(_EVALUATION, row)
        _must_be_one(connection.execute(_TRACE, row))
        connection.execute(_EVENTS, _events(row))
        connection.execute(_RECORD, row)


def complete_in_a_pipeline(
    connection: _Connection, tenant_id: str, run_id: str, trace_id: str
) -> None:
    """Complete a failed run in two round trips."""
    row = _row(tenant_id, run_id, trace_id)
    try:
        with connection.pipeline():
            claimed = connection.execute(_CLAIM, row)
            connection.execute(_INCIDENT, row)
            connection.execute(_EVALUATION, row)
            completed = connection.execute(_TRACE, row)
            connection.execute(_EVENTS, _events(row))
            connection.execute(_RECORD, row)
        _must_be_one(claimed)
        _must_be_one(completed)
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _must_be_one(cursor: psycopg.Cursor[Any]) -> None:
    if cursor.rowcount != 1:
        raise RelayError("the run was completed before, or its trace is not open")


def _row(tenant_id: str, run_id: str, trace_id: str) -> _Row:
    arguments = {"run_status": "failed", "error_code": ERROR_CODE, "trace_id": trace_id}
    incident_id, evaluation_id = uuid4(), uuid4()
    return {
        "tenant_id": tenant_id,
        "run_id": run_id,
        "trace_id": trace_id,
        "error_code": ERROR_CODE,
        "incident_id": incident_id,
        "evaluation_id": evaluation_id,
        "call_id": uuid4(),
        "arguments": Jsonb(arguments),
        "result": Jsonb({"incident": str(incident_id), "evaluation": str(evaluation_id)}),
    }


def _events(row: _Row) -> list[object]:
    """The parameters of the statement for the four events."""
    run = {"tenant_id": row["tenant_id"], "run_id": row["run_id"]}
    error = {"run_status": "failed", "error_code": row["error_code"]}
    data = {
        "run.completed": {**error, "trace_id": row["trace_id"]},
        "incident.created": {**error, "incident_id": str(row["incident_id"])},
        "policy.evaluated": {"evaluation_id": str(row["evaluation_id"]), "outcome": "violated"},
        "trace.completed": {"trace_id": row["trace_id"]},
    }
    parameters: list[object] = []
    for type_, values in data.items():
        name = f"{row['tenant_id']}/{row['run_id']}/{type_}"
        payload = json.dumps(run | values).encode()
        parameters += [uuid5(_NAMESPACE, name), _TOPIC, row["run_id"], type_, payload]
    return parameters
