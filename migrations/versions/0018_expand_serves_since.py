"""The schema says which releases it serves."""

from __future__ import annotations

from relay.admin.migrate import run_sql

revision = "0018_expand_serves_since"
down_revision = "0017_expand_numberings"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("0018_expand_serves_since.sql")


def downgrade() -> None:
    run_sql("0018_expand_serves_since_down.sql")
