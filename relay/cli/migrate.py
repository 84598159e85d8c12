"""`relay migrate`: the schema, up and down."""

from __future__ import annotations

import click
from alembic.util import CommandError
from sqlalchemy.exc import OperationalError

from relay import config
from relay.admin import migrate as migrations
from relay.errors import BadConfiguration, Unreachable

__all__ = ["migrate"]


@click.command()
@click.option("--down", metavar="REVISION", help="Take the schema down to REVISION, or to `base`.")
def migrate(down: str | None) -> None:
    """Bring the database up to the schema of this version.

    RELAY_DATABASE_URL names the database. `--down base` removes every table, with what it holds.
    """
    url = config.load_database().url
    try:
        if down is None:
            migrations.upgrade(url)
        else:
            migrations.downgrade(url, down)
        click.echo(f"schema is at {migrations.current(url) or 'base'}")
    except CommandError as problem:
        raise BadConfiguration(str(problem)) from None
    except OperationalError as problem:
        raise Unreachable(f"database: {type(problem.orig).__name__}; nothing was changed") from None
