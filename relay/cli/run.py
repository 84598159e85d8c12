"""`relay run`: the daemon."""

from __future__ import annotations

from collections.abc import Callable

import click

from coordinator import failpoints
from relay import config
from relay.cli.options import ENVELOPES
from relay.daemon import memory
from relay.daemon.clock import monotonic_s
from relay.daemon.housekeeping import Keeping
from relay.daemon.service import Service
from relay.daemon.shutdown import stop_on_signals
from relay.kafka.properties import faults, producer_properties, transactional_properties
from relay.kafka.sink import KafkaSink
from relay.kafka.topics import TopicMaker, Topics
from relay.kafka.transactional_sink import TransactionalSink
from relay.observe import logs

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
    """
    options = {
        "source": source,
        "kafka_bootstrap_servers": bootstrap_servers,
        "create_topics": create_topics,
    }
    settings = config.load(options, faults)
    if settings.failpoint:
        failpoints.arm_kill(settings.failpoint)
    memory.prepare()
    keeping = Keeping(settings.retention, settings.retention_bytes)
    exactly_once = settings.delivery == "exactly-once"
    properties_of = transactional_properties if exactly_once else producer_properties
    properties = properties_of(settings.kafka_bootstrap_servers, config.kafka_properties())
    shape = settings.topic_shape
    maker = None if shape is None else TopicMaker(properties, *shape)
    kind = TransactionalSink if exactly_once else KafkaSink

    def make_sink(on_trouble: Callable[[str], None]) -> KafkaSink:
        envelope = ENVELOPES[settings.envelope]
        return kind(properties, settings.source, monotonic_s, on_trouble, maker, envelope)

    with logs.configured() as last_words:
        service = Service(
            settings.url,
            make_sink,
            Topics(properties, maker),
            keeping,
            stop_on_signals(last_words),
            listening=settings.wakeup == "listen",
        )
        service.run(until_drained)
