"""`relay migrate`: the schema, up and down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import click

from relay.address import Address
from relay.admin import migrate as migrations
from relay.admin import roles as granting
from relay.cli.options import chosen_outbox, chosen_schema, outbox_option
from relay.postgres.wakeup import switch_wakeup

__all__ = ["migrate"]


@dataclass(frozen=True, slots=True)
class _Done:
    """What was done, or would be. `schema_is_at`: of now, so before it where it is a dry run."""

    dry_run: bool
    schema_is_at: str | None
    down: bool
    revisions: tuple[str, ...]
    roles: bool
    wakeup: str | None


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
@click.option("--dry-run", is_flag=True, help="Say which revisions it would be; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def migrate(
    down: str | None,
    discard_pending: bool,
    as_sql: bool,
    roles: bool,
    wakeup: str | None,
    since: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Bring the database up to the schema of this version.

    RELAY_DATABASE_URL names the database, RELAY_SCHEMA the schema. `--down base` removes every
    table, with what it holds; roles stay, as other databases may use them.
    """
    if roles and down is not None:
        raise click.UsageError("--roles needs the newest schema, so it does not go with --down")
    if wakeup is not None and (down is not None or as_sql):
        raise click.UsageError("--wakeup asks the database, and needs its newest schema")
    if as_sql and (dry_run or as_json):
        raise click.UsageError("--sql prints a script and changes nothing: leave the other out")
    if as_sql:
        schema = chosen_schema()
        granted = granting.roles_sql(schema) if roles else ""
        click.echo(_script(down, since, schema) + granted, nl=False)
        return
    if since is not None:
        raise click.UsageError("--since goes with --sql: else the database itself is asked")
    place = chosen_outbox().address()
    revisions = migrations.planned(place, down, discard_pending=discard_pending)
    if not dry_run:
        _perform(place, down, discard_pending=discard_pending, roles=roles, wakeup=wakeup)
    at = migrations.current(place)
    done = _Done(dry_run, at, down is not None, revisions, roles, wakeup)
    click.echo(json.dumps(asdict(done)) if as_json else "\n".join(_for_people(done)))


def _perform(
    place: Address, down: str | None, *, discard_pending: bool, roles: bool, wakeup: str | None
) -> None:
    if down is None:
        migrations.upgrade(place)
    else:
        migrations.downgrade(place, down, discard_pending=discard_pending)
    if roles:
        granting.grant_roles(place)
    if wakeup is not None:
        switch_wakeup(place, on=wakeup == "listen")


def _for_people(done: _Done) -> Iterator[str]:
    yield f"schema is at {done.schema_is_at or 'base'}"
    would = "would " if done.dry_run else ""
    if done.dry_run:
        yield from (
            f"would be {'taken back' if done.down else 'run'}: {one}" for one in done.revisions
        )
        if not done.revisions:
            yield "no revision would be run"
    if done.roles:
        yield f"the roles outbox_* {would}hold their grants"
    if done.wakeup is not None:
        woken = "wake a relay that sleeps" if done.wakeup == "listen" else "be asked nothing"
        if not done.dry_run and done.wakeup == "poll":
            woken = "are asked nothing"
        yield f"writers {would}{woken}"


def _script(down: str | None, since: str | None, schema: str) -> str:
    if down is None:
        return migrations.upgrade_sql(since, schema)
    return migrations.downgrade_sql(down, since, schema)
