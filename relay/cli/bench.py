"""`relay bench`: measures the relay and the coordinator beside their peers, in the same run."""

from __future__ import annotations

import json
from importlib import import_module

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
    _run("drain", as_json, events, broker)


@bench.command()
@click.option("--events", type=click.IntRange(1), default=500_000, show_default=True)
@broker_option
@_json_option
def longtx(events: int, broker: BrokerKind, as_json: bool) -> None:
    """Publish a backlog of 500-byte events while a writer holds a transaction open, and without.

    Uses the services that `relay bench drain` uses.
    """
    _run("longtx", as_json, events, broker)


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
    _run("backlog", as_json, events, broker)


@bench.command()
@click.option("--events", type=click.IntRange(1_000), default=100_000, show_default=True)
@broker_option
@_json_option
def consume(events: int, broker: BrokerKind, as_json: bool) -> None:
    """Take a backlog of 500-byte events with each memory; compare with a loop without one.

    Uses the services that `relay bench drain` uses.
    """
    _run("consume", as_json, events, broker)


@bench.command()
@click.option("--seconds", type=click.IntRange(1), default=10, show_default=True)
@broker_option
@_json_option
def latency(seconds: int, broker: BrokerKind, as_json: bool) -> None:
    """Measure the time from commit to consumer, and what an idle relay costs.

    With RELAY_WAKEUP=poll and with listen, at 1,000 and at 10 events a second for so many seconds
    each, then idle for as long. Uses the services that `relay bench drain` uses.
    """
    _run("latency", as_json, seconds, broker)


@bench.command()
@click.option("--transactions", type=click.IntRange(16), default=800, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=8, show_default=True)
@_json_option
def writers(transactions: int, rounds: int, as_json: bool) -> None:
    """Complete runs with 1, 8 and 16 writers; compare with the same rows by hand in psycopg.

    Each round is so many transactions in each way. Uses the database server of RELAY_DATABASE_URL
    where it is set (a new database of it, removed at the end), and brings its own where it is not.
    """
    _run("writers", as_json, transactions, rounds)


@bench.command("exactly-once")
@click.option("--events", type=click.IntRange(60_000), default=300_000, show_default=True)
@click.option("--seconds", type=click.FloatRange(1.0), default=10.0, show_default=True)
@_json_option
def exactly_once(events: int, seconds: float, as_json: bool) -> None:
    """Publish in Kafka transactions and in the default way; compare rate and latency.

    On an Apache Kafka (needs Java and Maven), or on the services that `relay bench drain` uses.
    """
    _run("exactly_once", as_json, events, seconds)


def _run(name: str, as_json: bool, *asked: object) -> None:
    """Measure, then show the figures; says what is missing where a benchmark cannot run."""
    try:
        from relay.bench import report
        from relay.demo.kept_process import ServiceFailed

        measure = getattr(import_module(f"relay.bench.{name}"), name)
    except ModuleNotFoundError as missing:
        raise RelayError(
            f"the benchmark needs {missing.name}: pip install 'outbox-relay[demo]'"
        ) from missing
    try:
        with report.watching() as watcher:
            found = measure(*asked, watcher)
    except ServiceFailed as problem:
        raise RelayError(str(problem)) from problem
    report.show(found)
    if as_json:
        click.echo(json.dumps(found.to_dict()))
