"""`relay migrate`: the schema, up and down."""

from __future__ import annotations

import click

from relay.admin import migrate as migrations
from relay.admin import roles as granting
from relay.cli.options import chosen_outbox, chosen_schema, outbox_option
from relay.postgres.wakeup import switch_wakeup

__all__ = ["migrate"]


@click.command()
@outbox_option
@click.option("--down", metavar="REVISION", help="Take the schema down to REVISION, or to `base`.")
@click.option("--discard-pending", is_flag=True, help="With --down: even unpublished events.")
@click.option("--sql", "as_sql", is_flag=True, help="Print the SQL instead; needs no database.")
@click.option("--roles", is_flag=True, help="Then make the roles, or renew their grants.")
@click.option(
    "--wakeup",
    type=click.Choice(["listen", "poll"]),
    help="Then switch the writers' part of RELAY_WAKEUP=listen on, or off.",
)
@click.option("--since", metavar="REVISION", help="With --sql: where the database is now.")
def migrate(
    down: str | None,
    discard_pending: bool,
    as_sql: bool,
    roles: bool,
    wakeup: str | None,
    since: str | None,
) -> None:
    """Bring the database up to the schema of this version.

    RELAY_DATABASE_URL names the database, RELAY_SCHEMA the schema. `--down base` removes every
    table, with what it holds; roles stay, as other databases may use them.
    """
    if roles and down is not None:
        raise click.UsageError("--roles needs the newest schema, so it does not go with --down")
    if wakeup is not None and (down is not None or as_sql):
        raise click.UsageError("--wakeup asks the database, and needs its newest schema")
    if as_sql:
        schema = chosen_schema()
        granted = granting.roles_sql(schema) if roles else ""
        click.echo(_script(down, since, schema) + granted, nl=False)
        return
    if since is not None:
        raise click.UsageError("--since goes with --sql: else the database itself is asked")
    place = chosen_outbox().address()
    if down is None:
        migrations.upgrade(place)
    else:
        migrations.downgrade(place, down, discard_pending=discard_pending)
    click.echo(f"schema is at {migrations.current(place) or 'base'}")
    if roles:
        granting.grant_roles(place)
        click.echo("the roles outbox_* hold their grants")
    if wakeup is not None:
        switch_wakeup(place, on=wakeup == "listen")
        woken = "wake a relay that sleeps" if wakeup == "listen" else "are asked nothing"
        click.echo(f"writers {woken}")


def _script(down: str | None, since: str | None, schema: str) -> str:
    if down is None:
        return migrations.upgrade_sql(since, schema)
    return migrations.downgrade_sql(down, since, schema)
