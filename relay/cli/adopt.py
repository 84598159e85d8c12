"""`relay adopt`: the unpublished rows of a home-made outbox are taken over."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from relay.admin import adopt as adoption
from relay.admin.published_at_table import Columns
from relay.cli.options import chosen_outbox, outbox_option

__all__ = ["adopt"]


@click.command()
@outbox_option
@click.argument("table")
@click.option("--id-column", default="id", show_default=True, help="Unique.")
@click.option("--topic-column", default="topic", show_default=True)
@click.option("--topic", help="The topic of every row, instead of a column.")
@click.option("--key-column", default="key", show_default=True, help="What keeps the order.")
@click.option("--no-key", is_flag=True, help="The events have no key, and no order.")
@click.option("--type-column", default="type", show_default=True)
@click.option("--type", help="The type of every row, instead of a column.")
@click.option("--payload-column", default="payload", show_default=True)
@click.option("--content-type", help="Of every payload.  [default: by the column's type]")
@click.option("--tombstones", is_flag=True, help="A payload that is null is meant to delete.")
@click.option("--headers-column", help="Of type json or jsonb, text to text.")
@click.option("--published-at-column", default="published_at", show_default=True)
@click.option("--order-by", multiple=True, help="A column; may be repeated.  [default: the id]")
@click.option(
    "--batch",
    type=click.IntRange(1, 100_000),
    default=adoption.BATCH_DEFAULT,
    show_default=True,
    help="Rows in a transaction.",
)
@click.option(
    "--dry-run", is_flag=True, help="Count the rows and list the bad ones; change nothing."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def adopt(
    table: str, no_key: bool, key_column: str, batch: int, dry_run: bool, as_json: bool, **rest: Any
) -> None:
    """Take the unpublished rows of TABLE over into the outbox, in order, each once.

    Rows whose published_at is null become events and are marked, a batch in a transaction. It may
    be stopped and run again at any time. Stop the relay that published TABLE until now first.
    RELAY_DATABASE_URL names the database, and a role that may update TABLE and write events.
    """
    columns = Columns(key_column=None if no_key else key_column, **rest)
    place = chosen_outbox().address()
    if dry_run:
        found = adoption.look(place, table, columns, batch)
        click.echo(json.dumps(found.to_dict()) if as_json else _looked(found))
        sys.exit(1 if found.bad else 0)
    done = adoption.adopt(place, table, columns, batch, _silent if as_json else _tell)
    if sys.stderr.isatty() and not as_json:
        click.echo(err=True)
    click.echo(json.dumps(done.to_dict()) if as_json else _done(done))


def _silent(_: int) -> None:
    """Nothing but the object is printed."""


def _tell(rows: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{rows:,} rows", err=True, nl=False)


def _topics(found: adoption.Adopted) -> list[str]:
    return [f"  {count:>12,}  {topic}" for topic, count in sorted(found.topics.items())]


def _looked(found: adoption.Adopted) -> str:
    lines = [f"{found.rows:,} rows of {found.table} fit, and would become events", *_topics(found)]
    if found.bad:
        lines.append(
            f"{len(found.bad):,} rows are refused; until they are mended "
            "`relay adopt` stops before the batch of the first:"
        )
        lines += [f"  {one}" for one in found.bad]
    return "\n".join(lines)


def _done(done: adoption.Adopted) -> str:
    return "\n".join([f"{done.rows:,} rows of {done.table} are events now", *_topics(done)])
