"""A fleet: how many outboxes a leader leads, and who claims one of them."""

from __future__ import annotations

from relay.admin.migrate import run_sql

revision = "0016_expand_fleet"
down_revision = "0015_expand_debezium"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("0016_expand_fleet.sql")


def downgrade() -> None:
    run_sql("0016_expand_fleet_down.sql")
