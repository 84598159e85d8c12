"""Parking: whole copies of the events set aside, what is held, and what operators did about it."""

from __future__ import annotations

from relay.admin.migrate import run_sql

revision = "0013_expand_parking"
down_revision = "0012_expand_milestones"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("0013_expand_parking.sql")


def downgrade() -> None:
    run_sql("0013_expand_parking_down.sql")
