"""Settings from the environment: the one place of the relay that reads it.

Every fault is found before any is reported, so that nobody repairs a configuration one restart at a
time. A value is never quoted: it may hold a secret.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Callable, Mapping
from typing import Literal

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from relay.errors import BadConfiguration

__all__ = [
    "BROKERS_DEFAULT",
    "DatabaseSettings",
    "RelaySettings",
    "given_services",
    "kafka_properties",
    "load",
    "load_database",
    "operator",
]

KAFKA_PREFIX = "RELAY_KAFKA_"
BOOTSTRAP_SERVERS = "RELAY_KAFKA_BOOTSTRAP_SERVERS"
PropertyFaults = Callable[[Mapping[str, str]], Mapping[str, str]]
SOURCE_CHARACTERS_MAX = 255
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
BYTES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
RETENTION_MAX_S = 366 * 86_400
BROKERS_DEFAULT = "-1:-1"
"""Topics are created as the broker's own settings say."""
_SHAPE = re.compile(r"[1-9][0-9]{0,5}:[1-9][0-9]{0,2}")


class DatabaseSettings(BaseSettings):
    """What every command needs."""

    model_config = SettingsConfigDict(
        env_prefix="RELAY_", extra="ignore", hide_input_in_errors=True
    )

    database_url: SecretStr

    @field_validator("database_url")
    @classmethod
    def _is_a_connection_string(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value().replace("postgresql+psycopg://", "postgresql://", 1)
        if not url.strip():
            raise ValueError("is empty")
        if not _reads_as_intended(url):
            raise ValueError(
                "is not a PostgreSQL connection string (postgresql://user:password@host:5432/name; "
                "in a URL, the characters @ : / ? # of a password are written as %40 and so on)"
            )
        return SecretStr(url)

    @property
    def url(self) -> str:
        """The connection string itself; keep it out of messages."""
        return self.database_url.get_secret_value()


class RelaySettings(DatabaseSettings):
    """What the daemon needs besides."""

    kafka_bootstrap_servers: str
    envelope: Literal["cloudevents", "debezium"] = "cloudevents"
    # After the envelope, which decides whether there must be one.
    source: str = Field("", validate_default=True)
    create_topics: str | None = None
    delivery: Literal["at-least-once", "exactly-once"] = "at-least-once"
    failpoint: str = Field("", pattern=r"^([a-z_]+\.[a-z_]+(:[1-9][0-9]*)?)?$")
    retention: float = 86_400.0
    """Seconds for which published events are kept, while the ring has room."""
    retention_bytes: int | None = None
    wakeup: Literal["poll", "listen"] = "poll"

    @field_validator("retention", mode="before")
    @classmethod
    def _is_a_time(cls, value: object) -> object:
        seconds = _scaled(value, SECONDS) if isinstance(value, str) else value
        if not isinstance(seconds, int | float) or seconds > RETENTION_MAX_S:
            raise ValueError("is not a time from 0s to 366d, such as 90m, 24h or 7d")
        return seconds

    @field_validator("retention_bytes", mode="before")
    @classmethod
    def _is_a_size(cls, value: object) -> object:
        size = _scaled(value, BYTES) if isinstance(value, str) else value
        if size == 0 or (size is None and value is not None):
            raise ValueError("is not a size, such as 500MB, 20GB or 1TB")
        return size

    @field_validator("create_topics")
    @classmethod
    def _is_a_shape(cls, value: str | None) -> str | None:
        if value not in (None, BROKERS_DEFAULT) and not _SHAPE.fullmatch(str(value)):
            raise ValueError(
                f"is neither PARTITIONS:REPLICATION, such as 12:3, nor {BROKERS_DEFAULT}"
            )
        return value

    @property
    def topic_shape(self) -> tuple[int, int] | None:
        """Partitions and replicas of topics to be created, -1 for the broker's; None: none are."""
        if self.create_topics is None:
            return None
        partitions, replication = self.create_topics.split(":")
        return int(partitions), int(replication)

    @field_validator("kafka_bootstrap_servers")
    @classmethod
    def _names_a_server(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("is empty; it names at least one broker, host:port[,host:port...]")
        return value.strip()

    @field_validator("source")
    @classmethod
    def _is_a_uri_reference(cls, value: str, info: ValidationInfo) -> str:
        if not value:
            if info.data.get("envelope") == "cloudevents":
                raise ValueError("is not set")
            return value  # in Debezium's records nothing says where they come from
        if not 0 < len(value) <= SOURCE_CHARACTERS_MAX:
            raise ValueError(
                f"has {len(value)} characters; 1 to {SOURCE_CHARACTERS_MAX} are allowed"
            )
        if not value.isascii() or not value.isprintable() or " " in value:
            raise ValueError(
                "is not a URI reference (such as /orders): printable ASCII without spaces"
            )
        return value


def _scaled(value: str, units: Mapping[str, int]) -> int | None:
    """The number that a text like `24h` means; None if it is none of that kind."""
    found = re.fullmatch(r"([0-9]{1,9})([A-Za-z]+)", value.strip())
    return int(found[1]) * units[found[2]] if found and found[2] in units else None


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


def kafka_properties() -> dict[str, str]:
    """The user's librdkafka properties: `RELAY_KAFKA_SASL_USERNAME` is `sasl.username`."""
    return {
        name.removeprefix(KAFKA_PREFIX).lower().replace("_", "."): value
        for name, value in os.environ.items()
        if name.startswith(KAFKA_PREFIX) and name != BOOTSTRAP_SERVERS
    }


def load_database() -> DatabaseSettings:
    """Settings of commands that need the database only.

    Raises BadConfiguration naming every fault.
    """
    try:
        return DatabaseSettings()
    except ValidationError as problem:
        raise BadConfiguration(_message(_faults(problem))) from None


def load(options: Mapping[str, str | None], property_faults: PropertyFaults) -> RelaySettings:
    """Settings of the daemon; `options` were typed on the command line and win over the
    environment.

    `property_faults` says what is wrong with librdkafka properties. Raises BadConfiguration naming
    every fault.
    """
    faults: list[str] = []
    settings: RelaySettings | None = None
    try:
        settings = RelaySettings(**{k: v for k, v in options.items() if v is not None})  # type: ignore[arg-type]  # checked by pydantic
    except ValidationError as problem:
        faults += _faults(problem)
    unsound = property_faults(kafka_properties())
    faults += [f"{_variable(name)}: {why}" for name, why in unsound.items()]
    if faults or settings is None:
        raise BadConfiguration(_message(faults))
    return settings


def _variable(property_name: str) -> str:
    return KAFKA_PREFIX + property_name.upper().replace(".", "_")


def _faults(problem: ValidationError) -> list[str]:
    return [
        f"RELAY_{str(error['loc'][0]).upper()}: "
        + (
            "is not set"
            if error["type"] == "missing"
            else error["msg"].removeprefix("Value error, ")
        )
        for error in problem.errors(include_input=False)
    ]


def _message(faults: list[str]) -> str:
    return "bad configuration:\n" + "\n".join(f"  {fault}" for fault in faults)


def operator() -> str:
    """Who runs this command, for the record of what was done: the user, at which machine."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def given_services() -> tuple[str | None, str | None]:
    """The database and the brokers that the environment names, for the demo and the benchmarks.

    None where it does not.
    """
    database = load_database().url if os.environ.get("RELAY_DATABASE_URL") else None
    return database, os.environ.get(BOOTSTRAP_SERVERS) or None
