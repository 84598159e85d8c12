"""outbox.milestone: what was published by when, so that events can be kept for a time."""

from __future__ import annotations

from relay.admin.migrate import run_sql

revision = "0011_expand_milestones"
down_revision = "0010_expand_marks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("0011_expand_milestones.sql")


def downgrade() -> None:
    run_sql("0011_expand_milestones_down.sql")
