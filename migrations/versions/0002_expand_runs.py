"""What the completion of a run writes: incident, evaluation, trace, acks, and the result itself."""

from __future__ import annotations

from relay.admin.migrate import run_sql

revision = "0002_expand_runs"
down_revision = "0001_expand_outbox"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("0002_expand_runs.sql")


def downgrade() -> None:
    run_sql("0002_expand_runs_down.sql")
