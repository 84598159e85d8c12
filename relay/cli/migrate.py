"""`relay migrate`: the schema, up and down."""

from __future__ import annotations

import click

from relay import config
from relay.admin import migrate as migrations

__all__ = ["migrate"]


@click.command()
@click.option("--down", metavar="REVISION", help="Take the schema down to REVISION, or to `base`.")
@click.option("--discard-pending", is_flag=True, help="With --down: even unpublished events.")
def migrate(down: str | None, discard_pending: bool) -> None:
    """Bring the database up to the schema of this version.

    RELAY_DATABASE_URL names the database. `--down base` removes every table, with what it holds.
    """
    url = config.load_database().url
    if down is None:
        migrations.upgrade(url)
    else:
        migrations.downgrade(url, down, discard_pending=discard_pending)
    click.echo(f"schema is at {migrations.current(url) or 'base'}")
