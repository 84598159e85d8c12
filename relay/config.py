"""Settings from the environment: the one place of the relay that reads it.

Every fault is found before any is reported, so that nobody repairs a configuration one restart at a
time. A value is never quoted: it may hold a secret.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from relay import kafka_settings
from relay.errors import BadConfiguration
from relay.kafka_settings import BOOTSTRAP_SERVERS
from relay.outboxes import (
    Outbox,
    named,
    problem_of,
    schema_of,
    source_setting,
    unnamed,
)
from relay.plaintext import ALLOWED, HTTP_IN_THE_CLEAR, may_be_to_http
from relay.settings import BROKERS_DEFAULT, RelaySettings

__all__ = [
    "BROKERS_DEFAULT",
    "Configuration",
    "RelaySettings",
    "choose",
    "exports_traces",
    "given_services",
    "kafka_properties",
    "load",
    "load_database",
    "operator",
    "schema",
    "service_manager",
    "told",
]

COLLECTORS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
URLS = ("RELAY_DATABASE_URL", "RELAY_DATABASE_URL_FILE")
PropertyFaults = Callable[[Mapping[str, str]], Mapping[str, str]]


@dataclass(frozen=True)
class Configuration:
    """All that the daemon is told: of each outbox, and of all."""

    outboxes: tuple[Outbox, ...]
    shared: RelaySettings


def kafka_properties() -> Mapping[str, str]:
    """The user's librdkafka properties: `RELAY_KAFKA_SASL_USERNAME` is `sasl.username`.

    What comes from files is read anew whenever it is asked for. Raises BadConfiguration naming the
    variables of those that cannot be read.
    """
    properties, faults = kafka_settings.properties_of(os.environ)
    if faults:
        raise BadConfiguration(_message(faults))
    return properties


def exports_traces() -> bool:
    """Whether the environment names a collector of spans; OpenTelemetry reads the rest itself."""
    return os.environ.get("OTEL_SDK_DISABLED", "").lower() != "true" and any(
        map(os.environ.get, COLLECTORS)
    )


def load_database(outbox: str | None = None) -> Outbox:
    """The outbox that a command is about, which needs its database only.

    `outbox` names one of several. Raises BadConfiguration naming every fault.
    """
    several, faults = _outboxes(None)
    if faults:
        raise BadConfiguration(_message(faults))
    return choose(several, outbox)


def choose(several: tuple[Outbox, ...], outbox: str | None) -> Outbox:
    """The one of this name, or the only one; raises BadConfiguration."""
    names = ", ".join(one.name for one in several)
    if outbox is None and len(several) > 1:
        raise BadConfiguration(f"several outboxes are configured: choose by --outbox: {names}")
    for one in several:
        if outbox is None or outbox.lower() == one.name:
            return one
    raise BadConfiguration(f"--outbox: there is no such outbox; there is {names or 'a single one'}")


def load(options: Mapping[str, str | None], property_faults: PropertyFaults) -> Configuration:
    """What the daemon is told; `options` were typed on the command line and win over the
    environment.

    `property_faults` says what is wrong with librdkafka properties. Raises BadConfiguration naming
    every fault.
    """
    typed = {name: value for name, value in options.items() if value is not None}
    faults: list[str] = []
    shared: RelaySettings | None = None
    try:
        shared = RelaySettings(**typed)  # type: ignore[arg-type]  # checked by pydantic
    except ValidationError as problem:
        faults += _faults(problem)
    outboxes, unfit = _outboxes(typed.get("source", os.environ.get("RELAY_SOURCE")) or None)
    faults += unfit
    # In Debezium's records nothing says where they come from.
    if os.environ.get("RELAY_ENVELOPE") != "debezium":
        faults += _without_source(outboxes)
    properties, unfit = kafka_settings.properties_of(os.environ)
    faults += unfit
    unsound = property_faults(properties)
    faults += [
        f"{kafka_settings.variable(os.environ, name)}: {why}" for name, why in unsound.items()
    ]
    if shared is not None and shared.plaintext != ALLOWED:
        faults += kafka_settings.plaintext_faults(shared.kafka_bootstrap_servers, properties)
        faults += [
            f"{name}: {HTTP_IN_THE_CLEAR}"
            for name in COLLECTORS
            if exports_traces() and may_be_to_http(os.environ.get(name, ""))
        ]
    if faults or shared is None:
        raise BadConfiguration(_message(faults))
    return Configuration(outboxes, shared)


def _outboxes(source: str | None) -> tuple[tuple[Outbox, ...], list[str]]:
    """Those with a name, or the only one; and what is wrong with their settings."""
    several, faults = named(os.environ, source)
    if several or faults:
        return several, faults
    only, faults = unnamed(os.environ, source)
    return (only,), faults


def _without_source(outboxes: tuple[Outbox, ...]) -> list[str]:
    if all(one.source is not None for one in outboxes):
        return []
    of_each = [source_setting(one.name) for one in outboxes if one.source is None and one.name]
    return ["RELAY_SOURCE: is not set" + (f", nor is {', '.join(of_each)}" if of_each else "")]


def _faults(problem: ValidationError) -> list[str]:
    return [
        f"RELAY_{str(error['loc'][0]).upper()}: {problem_of(error)}"
        for error in problem.errors(include_input=False)
    ]


def _message(faults: list[str]) -> str:
    return "bad configuration:\n" + "\n".join(f"  {fault}" for fault in faults)


def operator() -> str:
    """Who runs this command, for the record of what was done: the user, at which machine."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def told() -> Mapping[str, str]:
    """What the environment says to the relay, as it stands: it may be wrong, and hold secrets."""
    return {name: value for name, value in os.environ.items() if name.startswith("RELAY_")}


def service_manager() -> tuple[str, float | None]:
    """Where systemd wants to be told how this process is (sd_notify), empty where nothing does; and
    within how many seconds of progress, None if it does not ask for that.
    """
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    # Inherited through a wrapper, both speak of another process.
    asked = usec.isdecimal() and int(usec) > 0 and pid in ("", str(os.getpid()))
    return os.environ.get("NOTIFY_SOCKET", ""), int(usec) / 1_000_000 if asked else None


def schema(outbox: str | None) -> str:
    """The schema of the outbox that a command is about, which does without its database.

    Raises BadConfiguration.
    """
    try:
        return schema_of(os.environ, outbox)
    except ValueError as problem:
        raise BadConfiguration(_message([str(problem)])) from None


def given_services() -> tuple[str | None, str | None]:
    """The database and the brokers that the environment names, for the demo and the benchmarks.

    None where it does not. Raises BadConfiguration.
    """
    database = load_database().url if any(map(os.environ.get, URLS)) else None
    servers = os.environ.get(BOOTSTRAP_SERVERS) or None
    if servers and os.environ.get("RELAY_PLAINTEXT") != ALLOWED:
        faults = kafka_settings.plaintext_faults(servers, kafka_properties())
        if faults:
            raise BadConfiguration(_message(faults))
    return database, servers
