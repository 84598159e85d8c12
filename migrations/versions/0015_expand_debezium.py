"""outbox.debezium: a door for code that writes the rows of Debezium's outbox table."""

from __future__ import annotations

from relay.admin.migrate import run_sql

revision = "0015_expand_debezium"
down_revision = "0014_expand_wakeup"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("0015_expand_debezium.sql")


def downgrade() -> None:
    run_sql("0015_expand_debezium_down.sql")
