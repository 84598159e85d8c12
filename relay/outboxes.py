"""Which outboxes a process serves: the one of RELAY_DATABASE_URL, or several by name.

    RELAY_OUTBOX_<NAME>_DATABASE_URL         makes an outbox of this name
    RELAY_OUTBOX_<NAME>_DATABASE_URL_FILE    the same, read from a file (secret_files.py)
    RELAY_OUTBOX_<NAME>_SCHEMA               the schema it lies in, where it is not RELAY_SCHEMA
    RELAY_OUTBOX_<NAME>_SOURCE               its ce_source, where RELAY_SOURCE is not meant for it

The environment comes in as an argument: config.py reads it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import AfterValidator, SecretStr, TypeAdapter, ValidationError

from coordinator.errors import BadInput
from coordinator.outbox_schema import DEFAULT, checked
from relay import plaintext, secret_files
from relay.address import Address
from relay.secret_files import Secret

__all__ = [
    "THE_ONLY",
    "Outbox",
    "SourceReference",
    "named",
    "problem_of",
    "schema_of",
    "source_setting",
    "unnamed",
]

SINGLE_URL = "RELAY_DATABASE_URL"
SOURCE_CHARACTERS_MAX = 255
THE_ONLY = ""
"""The name of an outbox that has no name."""

_PREFIX = "RELAY_OUTBOX_"
_SETTING = re.compile(rf"{_PREFIX}([A-Z0-9][A-Z0-9_]*?)_(DATABASE_URL(?:_FILE)?|SCHEMA|SOURCE)")
_URL_FILE = "DATABASE_URL_FILE"
_PLAINTEXT = "PLAINTEXT"


@dataclass(frozen=True, slots=True)
class Outbox:
    """One outbox: its name, what gives its address as it stands now, to be asked anew for each
    connection, and its ce_source if it is told.
    """

    name: str
    address: Callable[[], Address] = field(repr=False)
    source: str | None

    @property
    def url(self) -> str:
        """The connection string alone, for what is the database's and not the outbox's."""
        return self.address().url


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
                faults.append(
                    f"{variable}: is not {_PREFIX}<NAME>_DATABASE_URL[_FILE], _SCHEMA or _SOURCE"
                )
    faults += [
        f"{single}: is set beside {_PREFIX}*: name every outbox, or none"
        for single in (SINGLE_URL, SINGLE_URL + secret_files.SUFFIX)
        if settings and single in environment
    ]
    schema = DEFAULT
    try:
        schema = schema_of(environment, None)
    except ValueError as problem:
        faults += [str(problem)] if settings else []
    outboxes = []
    for name, given in settings.items():
        of_all = _given(environment, _PLAINTEXT) | {"SCHEMA": schema}
        address, unfit = _address(f"{_PREFIX}{name}_", of_all | given)
        faults += [*unfit, *_source_faults(name, given)]
        outboxes.append(Outbox(name.lower(), address, given.get("SOURCE", source)))
    faults += _twice(outboxes)
    return tuple(outboxes), faults


def unnamed(environment: Mapping[str, str], source: str | None) -> tuple[Outbox, list[str]]:
    """The outbox without a name, and every fault of its settings."""
    given = _given(environment, "DATABASE_URL", _URL_FILE, "SCHEMA", _PLAINTEXT)
    address, faults = _address("RELAY_", given)
    return Outbox(THE_ONLY, address, source), faults


def schema_of(environment: Mapping[str, str], name: str | None) -> str:
    """The schema of an outbox, or of the only one, whose database need not be told.

    Raises ValueError, with the variable's name and what is wrong with it.
    """
    variables = ["RELAY_SCHEMA", *([f"{_PREFIX}{name.upper()}_SCHEMA"] if name else [])]
    schema = DEFAULT
    for variable in variables:
        schema = checked(variable, environment.get(variable, schema))
    return schema


def source_setting(name: str) -> str:
    """The variable of an outbox's own ce_source."""
    return f"{_PREFIX}{name.upper()}_SOURCE"


def problem_of(error: object) -> str:
    """What pydantic found, as the rest of a sentence that begins with the setting's name."""
    found = dict(error) if isinstance(error, dict) else {}
    if found.get("type") == "missing":
        return "is not set"
    return str(found.get("msg", "")).removeprefix("Value error, ")


def _given(environment: Mapping[str, str], *settings: str) -> dict[str, str]:
    return {one: environment[f"RELAY_{one}"] for one in settings if f"RELAY_{one}" in environment}


def _address(prefix: str, given: Mapping[str, str]) -> tuple[Callable[[], Address], list[str]]:
    """What gives the address, and what is wrong with it, by the variables' whole names."""
    url, faults = _url(prefix, given)
    try:
        schema = checked(f"{prefix}SCHEMA", given.get("SCHEMA", DEFAULT))
    except BadInput as problem:
        return lambda: Address(url()), [*faults, str(problem)]
    return lambda: Address(url(), schema), faults


def _url(prefix: str, given: Mapping[str, str]) -> tuple[Callable[[], str], list[str]]:
    setting = _URL_FILE if _URL_FILE in given else "DATABASE_URL"
    if setting not in given:
        return _nothing, [f"{prefix}DATABASE_URL: is not set"]
    if setting == _URL_FILE and "DATABASE_URL" in given:
        return _nothing, [f"{prefix}{_URL_FILE}: is set beside {prefix}DATABASE_URL: set one"]
    text, is_plaintext_fine = given[setting], given.get(_PLAINTEXT) == plaintext.ALLOWED
    try:
        if setting == _URL_FILE:
            return Secret(lambda: _checked(secret_files.read(text), is_plaintext_fine)), []
        url = _checked(text, is_plaintext_fine)
    except ValueError as problem:
        return _nothing, [f"{prefix}{setting}: {_problem(problem)}"]
    return lambda: url, []


def _nothing() -> str:
    return ""


def _checked(text: str, is_plaintext_fine: bool) -> str:
    url = _URL.validate_python(text).get_secret_value()
    if not is_plaintext_fine and plaintext.may_be_to_database(url):
        raise ValueError(
            "names another machine, and its sslmode (prefer, where none is given) allows what is "
            "sent there to be in the clear: set sslmode=verify-full in it, or RELAY_PLAINTEXT=yes"
        )
    return url


def _problem(problem: ValueError) -> str:
    if isinstance(problem, ValidationError):
        return "; ".join(problem_of(error) for error in problem.errors(include_input=False))
    return str(problem)


def _source_faults(name: str, given: Mapping[str, str]) -> Iterator[str]:
    try:
        _SOURCE.validate_python(given.get("SOURCE", "/"))
    except ValidationError as problem:
        yield f"{source_setting(name)}: {_problem(problem)}"


def _as_libpq_reads(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def _twice(outboxes: list[Outbox]) -> Iterator[str]:
    """An outbox under two names would stand by for itself, and be counted twice by the fleet."""
    first: dict[Address, str] = {}
    for outbox in outboxes:
        other = first.setdefault(address := outbox.address(), outbox.name)
        if address.url and other != outbox.name:
            yield (
                f"{_PREFIX}{outbox.name.upper()}_DATABASE_URL: is the database of outbox {other}; "
                f"of two in one database each has a {_PREFIX}<NAME>_SCHEMA"
            )
