"""The domain tables as SQLAlchemy metadata; the migrations make them, a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    FetchedValue,
    ForeignKeyConstraint,
    Index,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

# Named, so that a caller's search_path cannot put another table in its place.
metadata = MetaData(schema="public")


def _now_by_the_database(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), FetchedValue(), nullable=False)


traces = Table(
    "traces",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("status", Text, FetchedValue(), nullable=False),
    Column("run_status", Text),
    _now_by_the_database("started_at"),
    Column("completed_at", DateTime(timezone=True)),
    Index("traces_run_idx", "tenant_id", "run_id"),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("run_status", Text, nullable=False),
    Column("agent_id", Text),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("trace_id", Text),
    Column("is_synthetic", Boolean, nullable=False),
    Column("synthetic_scenario_id", Text),
    _now_by_the_database("created_at"),
    UniqueConstraint("tenant_id", "run_id", name="one_incident_a_run"),
)

policy_evaluations = Table(
    "policy_evaluations",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("is_synthetic", Boolean, nullable=False),
    _now_by_the_database("evaluated_at"),
    UniqueConstraint("tenant_id", "run_id", "policy", name="one_evaluation_of_a_policy_a_run"),
)

domain_acks = Table(
    "domain_acks",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("call_id", Uuid, nullable=False),
    Column("domain", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("action_succeeded", Boolean, nullable=False),
    Column("action_error", Text),
    _now_by_the_database("created_at"),
    Index("domain_acks_run_idx", "tenant_id", "run_id"),
)

run_completions = Table(
    "run_completions",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("run_id", Text, primary_key=True),
    Column("call_id", Uuid, nullable=False),
    Column("arguments", JSONB, nullable=False),
    Column("result", JSONB, nullable=False),
    _now_by_the_database("completed_at"),
    Column("txid", BigInteger, FetchedValue(), nullable=False),
)

run_claims = Table(
    "run_claims",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("run_id", Text, primary_key=True),
    ForeignKeyConstraint(
        ["tenant_id", "run_id"],
        [run_completions.c.tenant_id, run_completions.c.run_id],
        name="claimed_run_is_completed_in_the_same_commit",
        deferrable=True,
        initially="DEFERRED",
    ),
)
