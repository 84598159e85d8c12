"""No type of a caller is taken for ours in outbox.is_legal."""

from __future__ import annotations

from relay.admin.migrate import run_sql

revision = "0011_expand_search_path"
down_revision = "0010_expand_marks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("0011_expand_search_path.sql")


def downgrade() -> None:
    run_sql("0011_expand_search_path_down.sql")
