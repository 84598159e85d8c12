"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import click

from relay.core.debezium import debezium
from relay.core.envelope import Envelope, envelope

__all__ = ["ENVELOPES", "BrokerKind", "broker_option"]

ENVELOPES: Final[Mapping[str, Envelope]] = {"cloudevents": envelope, "debezium": debezium}

BrokerKind = Literal["mock", "kafka"]

broker_option = click.option(
    "--broker",
    type=click.Choice(["mock", "kafka"]),
    default="mock",
    show_default=True,
    help="librdkafka's mock cluster, or an Apache Kafka (needs Java and Maven).",
)
