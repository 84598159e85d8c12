"""`relay config`: what the relay is told, and by whom."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import click

from relay import config as configuration
from relay import kafka_settings
from relay.address import without_secrets
from relay.core.printable import printable
from relay.errors import BadConfiguration
from relay.kafka.properties import REFUSED, faults, producer_properties
from relay.secret_files import SUFFIX
from relay.setting_names import IS_A_URL, is_a_setting

__all__ = ["config"]

HIDDEN = "***"
"""Instead of a value that is a secret, or could be one."""

_KAFKA = kafka_settings.PREFIX
# What may be shown is listed, and not what may not: a property that is new may be a secret.
_HARMLESS = re.compile(
    r"bootstrap\.servers|client\.id|security\.protocol|sasl\.mechanisms?|sasl\.username|acks|"
    r"partitioner|log_level|(ssl\.(ca|certificate|key|keystore)\.location)|"
    r"ssl\.endpoint\.identification\.algorithm|"
    r"(allow|batch|broker|compression|delivery|enable|linger|message|metadata|queue|reconnect|request"
    r"|retry|socket|topic|transaction)\.[a-z.]+"
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting, its value as it may be shown, and where it comes from.

    origin  env; file: the environment names a file that holds it; default; relay: a property of
            the client that the relay sets; fixed: one that nobody may change; unknown: no setting
            has this name
    """

    name: str
    value: str | None
    origin: str


@click.group()
def config() -> None:
    """Show what the relay is configured with."""


@config.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(as_json: bool) -> None:
    """Show each setting, its value without secrets, and where it comes from.

    Exit 0: `relay run` would take it. 78: it would not, and why; values are hidden then, as what
    is in the wrong place may be a secret.
    """
    problem = None
    try:
        configuration.load({}, faults)
    except BadConfiguration as found:
        problem = str(found)
    settings = list(_settings(configuration.told(), fit=problem is None))
    if as_json:
        click.echo(json.dumps({"problem": problem, "settings": [asdict(one) for one in settings]}))
    else:
        click.echo("\n".join(map(_for_people, settings)))
    if any(one.origin == "unknown" for one in settings):
        click.echo("relay: what is unknown has no effect: a typing error?", err=True)
    if problem is not None:
        click.echo(f"relay: {problem}", err=True)
        sys.exit(BadConfiguration.exit_code)


def _settings(told: Mapping[str, str], *, fit: bool) -> Iterator[Shown]:
    """The outboxes' first, then the relay's own, then the client's."""
    fields = {
        f"RELAY_{name.upper()}": field
        for name, field in configuration.RelaySettings.model_fields.items()
    }
    for name in sorted(told):
        if name not in fields and not name.startswith(_KAFKA):
            yield _told(name, told[name], fit=fit)
    for name, field in fields.items():
        if name in told:
            yield _told(name, told[name], fit=fit)
        elif not field.is_required():
            default = field.default
            text = f"{default:g}s" if isinstance(default, float) else default
            yield Shown(name, None if text is None else str(text), "default")
    yield from _client(told, set(fields), fit=fit)


def _client(told: Mapping[str, str], own: set[str], *, fit: bool) -> Iterator[Shown]:
    given = {name for name in told if name.startswith(_KAFKA) and name not in own}
    for name in sorted(given):
        yield _told(name, told[name], fit=fit)
    for name, value in producer_properties("", {}).items():
        variable = _KAFKA + name.upper().replace(".", "_")
        if not {variable, variable + SUFFIX} & given and name != "bootstrap.servers":
            yield Shown(variable, _as_typed(value), "fixed" if name in REFUSED else "relay")


def _as_typed(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _told(name: str, value: str, *, fit: bool) -> Shown:
    if not is_a_setting(name):
        return Shown(name, HIDDEN, "unknown")
    if name.endswith(SUFFIX):
        # The path is no secret; what stands in the file may be.
        return Shown(name, value if fit else HIDDEN, "file")
    return Shown(name, _redacted(name, value) if fit else HIDDEN, "env")


def _redacted(name: str, value: str) -> str:
    if IS_A_URL.fullmatch(name):
        return without_secrets(value)
    if name.startswith(_KAFKA):
        prop = name.removeprefix(_KAFKA).lower().replace("_", ".")
        return value if _HARMLESS.fullmatch(prop) else HIDDEN
    return value


def _for_people(one: Shown) -> str:
    return f"{one.origin:<8} {one.name}" + ("" if one.value is None else f"={printable(one.value)}")
