"""`relay bench`: measures the relay beside its peers, in the same run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import click

from relay.cli.options import BrokerKind, broker_option
from relay.errors import RelayError

__all__ = ["bench"]


@click.group()
def bench() -> None:
    """Measure the relay beside its peers, in the same run."""


_as_json = click.option(
    "--json", "as_json", is_flag=True, help="The figures as a JSON object, last."
)


@bench.command()
@click.option("--events", type=click.IntRange(1), default=500_000, show_default=True)
@broker_option
@_as_json
def drain(events: int, broker: BrokerKind, as_json: bool) -> None:
    """Publish a backlog of 500-byte events; compare with SKIP LOCKED and with a bare produce().

    Uses the services of RELAY_DATABASE_URL and RELAY_KAFKA_BOOTSTRAP_SERVERS where they are set (a
    new database and a new topic of them, removed at the end), and brings its own where they are
    not.
    """
    with _measuring() as report:
        from relay.bench.drain import drain as run

        with report.watching() as watcher:
            found = run(events, broker, watcher)
        report.show(found)
        _print(found.to_dict(), as_json)


@bench.command()
@click.option("--events", type=click.IntRange(1_000), default=100_000, show_default=True)
@broker_option
@_as_json
def consume(events: int, broker: BrokerKind, as_json: bool) -> None:
    """Take a backlog of 500-byte events with each memory; compare with a loop without one.

    Uses the services that `relay bench drain` uses.
    """
    with _measuring() as report:
        from relay.bench.consume import consume as run

        with report.watching() as watcher:
            found = run(events, broker, watcher)
        report.show_consumed(found)
        _print(found.to_dict(), as_json)


@contextmanager
def _measuring() -> Iterator[ModuleType]:
    """Gives what shows the figures; says what is missing where a benchmark cannot run."""
    try:
        from relay.bench import report
        from relay.demo.kept_process import ServiceFailed
    except ModuleNotFoundError as missing:
        raise RelayError(
            f"the benchmark needs {missing.name}: pip install 'outbox-relay[demo]'"
        ) from missing
    try:
        yield report
    except ServiceFailed as problem:
        raise RelayError(str(problem)) from problem


def _print(figures: dict[str, object], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(figures))
