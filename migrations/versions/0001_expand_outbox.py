"""The outbox: the ring of events, the log of windows, the lease, and outbox.emit."""

from __future__ import annotations

from relay.admin.migrate import run_sql

revision = "0001_expand_outbox"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("0001_expand_outbox.sql")


def downgrade() -> None:
    run_sql("0001_expand_outbox_down.sql")
