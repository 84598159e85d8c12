"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import click

from relay import config
from relay.core.debezium import debezium
from relay.core.envelope import Envelope, envelope
from relay.outboxes import Outbox

__all__ = [
    "ENVELOPES",
    "BrokerKind",
    "broker_option",
    "chosen_of",
    "chosen_outbox",
    "chosen_schema",
    "outbox_option",
]

ENVELOPES: Final[Mapping[str, Envelope]] = {"cloudevents": envelope, "debezium": debezium}

BrokerKind = Literal["mock", "kafka"]
_CHOSEN = "relay.outbox"

broker_option = click.option(
    "--broker",
    type=click.Choice(["mock", "kafka"]),
    default="mock",
    show_default=True,
    help="librdkafka's mock cluster, or an Apache Kafka (needs Java and Maven).",
)


def _remember(context: click.Context, _: click.Parameter, name: str | None) -> None:
    context.meta[_CHOSEN] = name


# Not handed to the command as an argument: what opens the database asks for it (`chosen_outbox`).
outbox_option = click.option(
    "--outbox",
    metavar="NAME",
    expose_value=False,
    callback=_remember,
    help="This one of several, as RELAY_OUTBOX_<NAME>_DATABASE_URL names it.",
)


def chosen_outbox() -> Outbox:
    """The outbox that the present command is about; raises BadConfiguration."""
    return config.load_database(_name())


def chosen_schema() -> str:
    """The schema of that outbox, which need not be reachable; raises BadConfiguration."""
    return config.schema(_name())


def chosen_of(several: tuple[Outbox, ...]) -> Outbox:
    """The same, where the daemon's settings are loaded anyway."""
    return config.choose(several, _name())


def _name() -> str | None:
    name: str | None = click.get_current_context().meta.get(_CHOSEN)
    return name
