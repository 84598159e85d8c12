"""Intents of actions outside the database, and which of them are settled."""

from __future__ import annotations

from relay.admin.migrate import run_sql

revision = "0007_expand_intents"
down_revision = "0006_expand_published"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("0007_expand_intents.sql")


def downgrade() -> None:
    run_sql("0007_expand_intents_down.sql")
