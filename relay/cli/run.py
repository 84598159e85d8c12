"""`relay run`: the daemon."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import click

from coordinator import failpoints
from relay import config
from relay.cli.options import ENVELOPES
from relay.daemon import memory
from relay.daemon.clock import monotonic_s, wall_s
from relay.daemon.fleet import Fleet
from relay.daemon.housekeeping import Keeping
from relay.daemon.membership import Membership, Seat
from relay.daemon.port import served
from relay.daemon.service import Service
from relay.daemon.shutdown import HARD_LIMIT_S, LAST_WORDS_S, Stopping, stop_on_signals
from relay.daemon.watch import Watch
from relay.kafka.properties import faults, producer_properties, transactional_properties
from relay.kafka.sink import KafkaSink
from relay.kafka.topics import TopicMaker, Topics
from relay.kafka.transactional_sink import TransactionalSink
from relay.observe import logs, tracing
from relay.observe.systemd import Notifier, keep_told
from relay.observe.vitals import AllVitals, Vitals
from relay.outboxes import Outbox
from relay.setting_names import misspelt

__all__ = ["run"]


@click.command()
@click.option(
    "--until-drained",
    is_flag=True,
    help="End once nothing is pending: with 0, or 1 where events wait for a missing topic.",
)
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
    with (
        logs.configured(keys=configured.shared.log_keys) as last_words,
        logs.ends_as_a_line(),
        tracing.configured(config.exports_traces()),
    ):
        if names := misspelt(config.told()):
            logs.log.warning("settings_unknown", names=names)
        stopping = stop_on_signals(last_words)
        name = f"{socket.gethostname()}/{os.getpid()}"
        with (
            stopping.followed() as changed,
            _watched(name, configured, stopping, changed) as vitals,
        ):
            services = _services(name, configured, stopping, vitals)
            address, watchdog_s = config.service_manager()
            keep_told(
                Notifier(address),
                vitals,
                stopping,
                watchdog_s=watchdog_s,
                stop_limit_s=HARD_LIMIT_S + LAST_WORDS_S,
            )
            Fleet(services, stopping).run(until_drained)


@contextmanager
def _watched(
    name: str, configured: config.Configuration, stopping: Stopping, changed: threading.Event
) -> Iterator[AllVitals]:
    """What the loops are to report to, shown to those who watch."""
    outboxes, shared = configured.outboxes, configured.shared
    vitals = AllVitals((one.name for one in outboxes), changed, monotonic_s, wall_s)
    watch = Watch(name, outboxes, vitals, monotonic_s, wall_s, stopping)
    with served(watch, shared.http_address, monotonic_s, asked_for=shared.http_is_given):
        yield vitals


def _services(
    name: str, configured: config.Configuration, stopping: Stopping, vitals: AllVitals
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
            vitals.of(one.name),
            logs.log.bind(outbox=one.name) if several else logs.log,
        )
        for one in configured.outboxes
    }


def _service(
    outbox: Outbox,
    shared: config.RelaySettings,
    stopping: Stopping,
    seat: Seat,
    vitals: Vitals,
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
        vitals,
        listening=shared.wakeup == "listen",
        delivery=shared.delivery,
        envelope=shared.envelope,
        logger=log,
    )
