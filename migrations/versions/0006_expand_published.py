"""Whether the events of a commit have reached Kafka: its transaction id, and who may ask."""

from __future__ import annotations

from relay.admin.migrate import run_sql

revision = "0006_expand_published"
down_revision = "0005_expand_emit_many"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("0006_expand_published.sql")


def downgrade() -> None:
    run_sql("0006_expand_published_down.sql")
