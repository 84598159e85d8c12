"""outbox.wake_relay: writers notify a relay that sleeps, where that is switched on."""

from __future__ import annotations

from relay.admin.migrate import run_sql

revision = "0014_expand_wakeup"
down_revision = "0013_expand_parking"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("0014_expand_wakeup.sql")


def downgrade() -> None:
    run_sql("0014_expand_wakeup_down.sql")
