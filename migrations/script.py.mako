"""${message}.

expand: adds only, so that the last release's code runs on it. contract: removes what no running release reads.
"""

from __future__ import annotations

from relay.admin.migrate import run_sql

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("${up_revision}.sql")


def downgrade() -> None:
    run_sql("${up_revision}_down.sql")
