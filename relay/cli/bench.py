"""`relay bench`: measures the relay beside its peers, in the same run."""

from __future__ import annotations

import json

import click

from relay.cli.options import BrokerKind, broker_option
from relay.errors import RelayError

__all__ = ["bench"]


@click.group()
def bench() -> None:
    """Measure the relay beside its peers, in the same run."""


@bench.command()
@click.option("--events", type=click.IntRange(1), default=500_000, show_default=True)
@broker_option
@click.option("--json", "as_json", is_flag=True, help="The figures as one JSON object, last.")
def drain(events: int, broker: BrokerKind, as_json: bool) -> None:
    """Publish a backlog of 500-byte events; compare with SKIP LOCKED and with a bare produce().

    Uses the services of RELAY_DATABASE_URL and RELAY_KAFKA_BOOTSTRAP_SERVERS where they are set (a
    new database and a new topic of them, removed at the end), and brings its own where they are
    not.
    """
    try:
        from relay.bench import report
        from relay.bench.drain import drain as run
        from relay.demo.kept_process import ServiceFailed
    except ModuleNotFoundError as missing:
        raise RelayError(
            f"the benchmark needs {missing.name}: pip install 'outbox-relay[demo]'"
        ) from missing
    try:
        with report.watching() as watcher:
            found = run(events, broker, watcher)
    except ServiceFailed as problem:
        raise RelayError(str(problem)) from problem
    report.show(found)
    if as_json:
        click.echo(json.dumps(found.to_dict()))
