"""`relay run`: the daemon."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import click

from coordinator import failpoints
from relay import config
from relay.cli.options import ENVELOPES
from relay.daemon import memory
from relay.daemon.clock import monotonic_s
from relay.daemon.fleet import Fleet
from relay.daemon.housekeeping import Keeping
from relay.daemon.membership import Membership, Seat
from relay.daemon.service import Service
from relay.daemon.shutdown import HARD_LIMIT_S, LAST_WORDS_S, Stopping, stop_on_signals
from relay.daemon.watch import Watch
from relay.kafka.properties import faults, producer_properties, transactional_properties
from relay.kafka.sink import KafkaSink
from relay.kafka.topics import TopicMaker, Topics
from relay.kafka.transactional_sink import TransactionalSink
from relay.observe import logs
from relay.observe.http import HttpServer, Reply
from relay.observe.page import answers
from relay.observe.pulse import Pulse, Pulses
from relay.observe.systemd import Notifier, keep_told
from relay.outboxes import Outbox

__all__ = ["run"]


@click.command()
@click.option("--until-drained", is_flag=True, help="End with 0 as soon as nothing is pending.")
@click.option("--source", help="ce_source of every event. [env: RELAY_SOURCE]")
@click.option("--bootstrap-servers", help="Kafka brokers. [env: RELAY_KAFKA_BOOTSTRAP_SERVERS]")
@click.option(
    "--create-topics",
    is_flag=False,
    flag_value=config.BROKERS_DEFAULT,
    metavar="[PARTITIONS:REPLICATION]",
    help="Create missing topics, by default as the broker does. [env: RELAY_CREATE_TOPICS]",
)
def run(
    until_drained: bool,
    source: str | None,
    bootstrap_servers: str | None,
    create_topics: str | None,
) -> None:
    """Publish committed events until SIGTERM. One relay leads, any number stand by.

    RELAY_DATABASE_URL names the database; it is not an option, since it may hold a password.
    Several outboxes are named by RELAY_OUTBOX_<NAME>_DATABASE_URL each.
    """
    options = {
        "source": source,
        "kafka_bootstrap_servers": bootstrap_servers,
        "create_topics": create_topics,
    }
    configured = config.load(options, faults)
    if configured.shared.failpoint:
        failpoints.arm_kill(configured.shared.failpoint)
    memory.prepare()
    with logs.configured() as last_words:
        stopping = stop_on_signals(last_words)
        name = f"{socket.gethostname()}/{os.getpid()}"
        with stopping.followed() as changed, _watched(name, configured, stopping):
            pulses = Pulses(changed)
            services = _services(name, configured, stopping, pulses)
            address, watchdog_s = config.service_manager()
            keep_told(
                Notifier(address),
                pulses,
                stopping,
                watchdog_s=watchdog_s,
                stop_limit_s=HARD_LIMIT_S + LAST_WORDS_S,
            )
            Fleet(services, stopping).run(until_drained)


@contextmanager
def _watched(name: str, configured: config.Configuration, stopping: Stopping) -> Iterator[None]:
    """Served to those who watch, if they are to be."""
    if (address := configured.shared.http_address) is None:
        yield
        return
    watch = Watch(name, configured.outboxes, monotonic_s, stopping)
    page = Reply("text/html; charset=utf-8", answers.document(), answers.document_headers())
    server = HttpServer(
        *address,
        {"/": lambda: page, "/status.json": lambda: Reply("application/json", watch.status())},
    )
    watch.start()
    server.start()
    logs.log.info("serving", port=server.port)
    try:
        yield
    finally:
        server.close()


def _services(
    name: str, configured: config.Configuration, stopping: Stopping, pulses: Pulses
) -> dict[str, Callable[[], Service]]:
    """What begins each outbox anew, by its name."""
    membership = Membership(name, monotonic_s)
    several = len(configured.outboxes) > 1
    return {
        one.name: partial(
            _service,
            one,
            configured.shared,
            stopping,
            membership.seat(one.name),
            pulses.of(one.name),
            logs.log.bind(outbox=one.name) if several else logs.log,
        )
        for one in configured.outboxes
    }


def _service(
    outbox: Outbox,
    shared: config.RelaySettings,
    stopping: Stopping,
    seat: Seat,
    pulse: Pulse,
    log: logs.Logger,
) -> Service:
    exactly_once = shared.delivery == "exactly-once"
    properties_of = transactional_properties if exactly_once else producer_properties
    properties = properties_of(shared.kafka_bootstrap_servers, config.kafka_properties())
    maker = None if shared.topic_shape is None else TopicMaker(properties, *shared.topic_shape)
    kind = TransactionalSink if exactly_once else KafkaSink

    def make_sink(on_trouble: Callable[[str], None]) -> KafkaSink:
        envelope = ENVELOPES[shared.envelope]
        return kind(properties, outbox.source or "", monotonic_s, on_trouble, maker, envelope)

    return Service(
        outbox.address,
        make_sink,
        Topics(properties, maker),
        Keeping(shared.retention, shared.retention_bytes),
        stopping,
        seat,
        pulse,
        listening=shared.wakeup == "listen",
        delivery=shared.delivery,
        envelope=shared.envelope,
        logger=log,
    )
