"""`relay bench`: measures the relay and the coordinator beside their peers, in the same run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import click

from relay.cli.options import BrokerKind, broker_option
from relay.errors import RelayError

__all__ = ["bench"]

_json_option = click.option(
    "--json", "as_json", is_flag=True, help="The figures as one JSON object, last."
)


@click.group()
def bench() -> None:
    """Measure the relay and the coordinator beside their peers, in the same run."""


@bench.command()
@click.option("--events", type=click.IntRange(1), default=500_000, show_default=True)
@broker_option
@_json_option
def drain(events: int, broker: BrokerKind, as_json: bool) -> None:
    """Publish a backlog of 500-byte events; compare with SKIP LOCKED and with a bare produce().

    With --broker kafka also with Kafka's own producer performance tool.

    Uses RELAY_DATABASE_URL and RELAY_KAFKA_BOOTSTRAP_SERVERS where they are set (of the server a
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
@click.option("--events", type=click.IntRange(1), default=500_000, show_default=True)
@broker_option
@_json_option
def longtx(events: int, broker: BrokerKind, as_json: bool) -> None:
    """Publish a backlog of 500-byte events while a writer holds a transaction open, and without.

    Uses the services that `relay bench drain` uses.
    """
    with _measuring() as report:
        from relay.bench.longtx import longtx as run

        with report.watching() as watcher:
            found = run(events, broker, watcher)
        report.show_long_transaction(found)
        _print(found.to_dict(), as_json)


@bench.command()
@click.option(
    "--events",
    type=click.IntRange(250_000),
    default=10_000_000,
    show_default=True,
    help="10,000,000 take 20 GB of disk and some 10 minutes.",
)
@broker_option
@_json_option
def backlog(events: int, broker: BrokerKind, as_json: bool) -> None:
    """Publish a backlog of millions; compare its rate with a tenth's, its first pages with its
    last.

    Uses the services that `relay bench drain` uses.
    """
    with _measuring() as report:
        from relay.bench.backlog import backlog as run

        with report.watching() as watcher:
            found = run(events, broker, watcher)
        report.show_backlog(found)
        _print(found.to_dict(), as_json)


@bench.command()
@click.option("--events", type=click.IntRange(1_000), default=100_000, show_default=True)
@broker_option
@_json_option
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


@bench.command()
@click.option("--seconds", type=click.IntRange(1), default=10, show_default=True)
@broker_option
@_json_option
def latency(seconds: int, broker: BrokerKind, as_json: bool) -> None:
    """Measure the time from commit to consumer, and what an idle relay costs.

    With RELAY_WAKEUP=poll and with listen, at 1,000 and at 10 events a second for so many seconds
    each, then idle for as long. Uses the services that `relay bench drain` uses.
    """
    with _measuring() as report:
        from relay.bench.latency import latency as run

        with report.watching() as watcher:
            found = run(seconds, broker, watcher)
        report.show_latency(found)
        _print(found.to_dict(), as_json)


@bench.command()
@click.option("--transactions", type=click.IntRange(16), default=800, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=8, show_default=True)
@_json_option
def writers(transactions: int, rounds: int, as_json: bool) -> None:
    """Complete runs with 1, 8 and 16 writers; compare with the same rows by hand in psycopg.

    Each round is so many transactions in each way. Uses the database server of RELAY_DATABASE_URL
    where it is set (a new database of it, removed at the end), and brings its own where it is not.
    """
    with _measuring() as report:
        from relay.bench.writers import writers as run

        with report.watching() as watcher:
            found = run(transactions, rounds, watcher)
        report.show_writers(found)
        _print(found.to_dict(), as_json)


@bench.command("exactly-once")
@click.option("--events", type=click.IntRange(60_000), default=300_000, show_default=True)
@click.option("--seconds", type=click.FloatRange(1.0), default=10.0, show_default=True)
@_json_option
def exactly_once(events: int, seconds: float, as_json: bool) -> None:
    """Publish in Kafka transactions and in the default way; compare rate and latency.

    On an Apache Kafka (needs Java and Maven), or on the services that `relay bench drain` uses.
    """
    with _measuring() as report:
        from relay.bench.exactly_once import exactly_once as run

        with report.watching() as watcher:
            found = run(events, seconds, watcher)
        report.show_exactly_once(found)
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
