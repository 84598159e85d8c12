"""Which cluster's transaction ids the outbox speaks of, so that a restored one can go on."""

from __future__ import annotations

from relay.admin.migrate import run_sql

revision = "0017_expand_numberings"
down_revision = "0016_expand_fleet"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("0017_expand_numberings.sql")


def downgrade() -> None:
    run_sql("0017_expand_numberings_down.sql")
