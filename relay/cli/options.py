"""Options that several commands share."""

from __future__ import annotations

from typing import Literal

import click

__all__ = ["BrokerKind", "broker_option"]

BrokerKind = Literal["mock", "kafka"]

broker_option = click.option(
    "--broker",
    type=click.Choice(["mock", "kafka"]),
    default="mock",
    show_default=True,
    help="librdkafka's mock cluster, or an Apache Kafka (needs Java and Maven).",
)
