"""The inbox: which events a consumer has already taken."""

from __future__ import annotations

from relay.admin.migrate import run_sql

revision = "0003_expand_inbox"
down_revision = "0002_expand_runs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("0003_expand_inbox.sql")


def downgrade() -> None:
    run_sql("0003_expand_inbox_down.sql")
