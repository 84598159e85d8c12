"""`relay pause`: a key's or a topic's events wait, without a fault of theirs."""

from __future__ import annotations

import click

from relay import config
from relay.cli.parked import action_options, performed, the_desk
from relay.core.printable import printable
from relay.postgres.parked_desk import NEWEST_LOOKED_AT, By

__all__ = ["pause"]

_NOT_KNOWN = (
    "relay: no event of topic {} is among the newest {:,}: if it is a typing error, take it back "
    "with `relay resume`"
)


@click.command()
@click.option("--topic", required=True, help="This topic.")
@click.option("--key", help="This key of it; without: all of the topic.")
@action_options
def pause(
    topic: str, key: str | None, why: str, who: str | None, dry_run: bool, as_json: bool
) -> None:
    """Publish no more of a topic or a key: its events are parked in order until `relay resume`.

    What is in flight may still arrive; other keys flow on.
    """
    with the_desk() as desk:
        touched = desk.pause(topic, key, By(who or config.operator(), why, dry_run))
        if desk.is_known(topic) is False:
            click.echo(_NOT_KNOWN.format(printable(topic), NEWEST_LOOKED_AT), err=True)
    performed("paused", touched, dry_run, as_json)
