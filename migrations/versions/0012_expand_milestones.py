"""outbox.milestone: what was published by when, so that events can be kept for a time."""

from __future__ import annotations

from relay.admin.migrate import run_sql

revision = "0012_expand_milestones"
down_revision = "0011_expand_search_path"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("0012_expand_milestones.sql")


def downgrade() -> None:
    run_sql("0012_expand_milestones_down.sql")
