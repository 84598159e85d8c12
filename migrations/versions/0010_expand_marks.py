"""The memory `marks`: how far a consumer is in the events of an outbox."""

from __future__ import annotations

from relay.admin.migrate import run_sql

revision = "0010_expand_marks"
down_revision = "0009_expand_parked"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("0010_expand_marks.sql")


def downgrade() -> None:
    run_sql("0010_expand_marks_down.sql")
