"""What the general cross-domain transaction writes: claims, outcomes, acks."""

from __future__ import annotations

from relay.admin.migrate import run_sql

revision = "0004_expand_claims"
down_revision = "0003_expand_inbox"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("0004_expand_claims.sql")


def downgrade() -> None:
    run_sql("0004_expand_claims_down.sql")
