"""inbox.take: a consumer's keys, which expire by partition of their table."""

from __future__ import annotations

from relay.admin.migrate import run_sql

revision = "0008_expand_take"
down_revision = "0007_expand_intents"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("0008_expand_take.sql")


def downgrade() -> None:
    run_sql("0008_expand_take_down.sql")
