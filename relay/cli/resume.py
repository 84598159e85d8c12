"""`relay resume`: what was paused goes on, with what has gathered first."""

from __future__ import annotations

import click

from relay import config
from relay.cli.parked import action_options, performed, the_desk
from relay.postgres.parked_desk import By

__all__ = ["resume"]


@click.command()
@click.option("--topic", required=True, help="This topic.")
@click.option("--key", help="This key of it, as it was paused.")
@action_options
def resume(
    topic: str, key: str | None, why: str, who: str | None, dry_run: bool, as_json: bool
) -> None:
    """Publish what has gathered since `relay pause`, in order, and go on."""
    with the_desk() as desk:
        touched = desk.resume(topic, key, By(who or config.operator(), why, dry_run))
    performed("resumed", touched, dry_run, as_json)
