"""inbox.parked: what a consumer could not handle, and what waits behind it."""

from __future__ import annotations

from relay.admin.migrate import run_sql

revision = "0009_expand_parked"
down_revision = "0008_expand_take"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("0009_expand_parked.sql")


def downgrade() -> None:
    run_sql("0009_expand_parked_down.sql")
