"""`relay demo`: the main job on real parts, with a kill in the middle and a proof at the end."""

from __future__ import annotations

import json
import sys

import click

from relay.cli.options import BrokerKind, broker_option
from relay.errors import RelayError

__all__ = ["demo"]


@click.command()
@click.option("--runs", type=click.IntRange(1, 10_000), default=200, show_default=True)
@broker_option
@click.option("--json", "as_json", is_flag=True, help="The proof as one JSON object, last of all.")
def demo(runs: int, broker: BrokerKind, as_json: bool) -> None:
    """Complete runs, publish their events, kill the leading relay half way, and prove the outcome.

    Uses the services of RELAY_DATABASE_URL and RELAY_KAFKA_BOOTSTRAP_SERVERS where they are set,
    and brings its own where they are not. Ends with 1 if any count is off.
    """
    try:
        from relay.demo.display import open_display
        from relay.demo.kept_process import ServiceFailed
        from relay.demo.play import play
    except ModuleNotFoundError as missing:
        raise RelayError(
            f"the demo needs {missing.name}: pip install 'outbox-relay[demo]'"
        ) from missing
    with open_display(runs) as display:
        try:
            proof = play(runs, broker, display)
        except ServiceFailed as problem:
            raise RelayError(str(problem)) from problem
    display.prove(proof)
    if as_json:
        click.echo(json.dumps(proof.to_dict()))
    sys.exit(0 if proof.holds else 1)
