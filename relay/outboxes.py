"""Which outboxes a process serves: the one of RELAY_DATABASE_URL, or several by name.

    RELAY_OUTBOX_<NAME>_DATABASE_URL    makes an outbox of this name
    RELAY_OUTBOX_<NAME>_SOURCE          its ce_source, where RELAY_SOURCE is not meant for it

The environment comes in as an argument: config.py reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import AfterValidator, SecretStr, TypeAdapter, ValidationError

__all__ = [
    "THE_ONLY",
    "DatabaseUrl",
    "Outbox",
    "SourceReference",
    "named",
    "problem_of",
    "source_setting",
]

SINGLE_URL = "RELAY_DATABASE_URL"
SOURCE_CHARACTERS_MAX = 255
THE_ONLY = ""
"""The name of an outbox that has no name."""

_PREFIX = "RELAY_OUTBOX_"
_SETTING = re.compile(rf"{_PREFIX}([A-Z0-9][A-Z0-9_]*)_(DATABASE_URL|SOURCE)")


@dataclass(frozen=True, slots=True)
class Outbox:
    """One outbox: its name, the connection string of its database, and its ce_source if it is told.

    Keep `url` out of messages.
    """

    name: str
    url: str = field(repr=False)
    source: str | None


def _is_a_connection_string(value: SecretStr) -> SecretStr:
    url = _as_libpq_reads(value.get_secret_value())
    if not url.strip():
        raise ValueError("is empty")
    if not _reads_as_intended(url):
        raise ValueError(
            "is not a PostgreSQL connection string (postgresql://user:password@host:5432/name; "
            "in a URL, the characters @ : / ? # of a password are written as %40 and so on)"
        )
    return SecretStr(url)


def _reads_as_intended(url: str) -> bool:
    """Whether libpq can read it, and did not cut it in the middle of a password.

    Such a part would become a host or a port, and libpq would quote it in every message.
    """
    try:
        parts = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except ProgrammingError:
        return False
    ports = parts.get("port", "").split(",")
    cut = "@" in parts.get("host", "") or ("://" in url and "@" in parts.get("dbname", ""))
    return not cut and all(port.isdecimal() or not port for port in ports)


def _is_a_uri_reference(value: str) -> str:
    if not 0 < len(value) <= SOURCE_CHARACTERS_MAX:
        raise ValueError(f"has {len(value)} characters; 1 to {SOURCE_CHARACTERS_MAX} are allowed")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("is not a URI reference (such as /orders): printable ASCII without spaces")
    return value


DatabaseUrl = Annotated[SecretStr, AfterValidator(_is_a_connection_string)]
SourceReference = Annotated[str, AfterValidator(_is_a_uri_reference)]

_URL: TypeAdapter[SecretStr] = TypeAdapter(DatabaseUrl)
_SOURCE: TypeAdapter[str] = TypeAdapter(SourceReference)


def named(
    environment: Mapping[str, str], source: str | None
) -> tuple[tuple[Outbox, ...], list[str]]:
    """The outboxes with a name, by name, and every fault of their settings.

    `source` is RELAY_SOURCE, for those that have none of their own.
    """
    settings: dict[str, dict[str, str]] = {}
    faults = []
    for variable in sorted(environment):
        if variable.startswith(_PREFIX):
            if found := _SETTING.fullmatch(variable):
                settings.setdefault(found[1], {})[found[2]] = environment[variable]
            else:
                faults.append(f"{variable}: is neither {_PREFIX}<NAME>_DATABASE_URL nor _SOURCE")
    if settings and SINGLE_URL in environment:
        faults.append(f"{SINGLE_URL}: is set beside {_PREFIX}*: name every outbox, or none")
    outboxes = []
    for name, given in settings.items():
        faults += _faults(name, given)
        url = given.get("DATABASE_URL", "")
        outboxes.append(Outbox(name.lower(), _as_libpq_reads(url), given.get("SOURCE", source)))
    faults += _twice(outboxes)
    return tuple(outboxes), faults


def source_setting(name: str) -> str:
    """The variable of an outbox's own ce_source."""
    return f"{_PREFIX}{name.upper()}_SOURCE"


def problem_of(error: object) -> str:
    """What pydantic found, as the rest of a sentence that begins with the setting's name."""
    found = dict(error) if isinstance(error, dict) else {}
    if found.get("type") == "missing":
        return "is not set"
    return str(found.get("msg", "")).removeprefix("Value error, ")


def _faults(name: str, given: Mapping[str, str]) -> Iterator[str]:
    adapters: Mapping[str, TypeAdapter[SecretStr] | TypeAdapter[str]]
    adapters = {"DATABASE_URL": _URL, "SOURCE": _SOURCE}
    if "DATABASE_URL" not in given:
        yield f"{_PREFIX}{name}_DATABASE_URL: is not set"
    for setting, value in given.items():
        try:
            adapters[setting].validate_python(value)
        except ValidationError as problem:
            for error in problem.errors(include_input=False):
                yield f"{_PREFIX}{name}_{setting}: {problem_of(error)}"


def _as_libpq_reads(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def _twice(outboxes: list[Outbox]) -> Iterator[str]:
    """An outbox under two names would stand by for itself, and be counted twice by the fleet."""
    first: dict[str, str] = {}
    for outbox in outboxes:
        other = first.setdefault(outbox.url, outbox.name)
        if outbox.url and other != outbox.name:
            yield (
                f"{_PREFIX}{outbox.name.upper()}_DATABASE_URL: is the database of outbox {other}"
            )
