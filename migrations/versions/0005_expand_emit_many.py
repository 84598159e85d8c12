"""outbox.emit_many: many events in one statement, from any client in any language."""

from __future__ import annotations

from relay.admin.migrate import run_sql

revision = "0005_expand_emit_many"
down_revision = "0004_expand_claims"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("0005_expand_emit_many.sql")


def downgrade() -> None:
    run_sql("0005_expand_emit_many_down.sql")
