"""What the daemon is told besides its outboxes: RELAY_ variables, each checked by its own rule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from relay.listen_address import HTTP_DEFAULT, listen_address
from relay.outboxes import SourceReference

__all__ = ["BROKERS_DEFAULT", "SECONDS", "RelaySettings"]

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
BYTES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
PORT_MAX = 65_535
RETENTION_MAX_S = 366 * 86_400
BROKERS_DEFAULT = "-1:-1"
"""Topics are created as the broker's own settings say."""
_SHAPE = re.compile(r"[1-9][0-9]{0,5}:[1-9][0-9]{0,2}")


class RelaySettings(BaseSettings):
    """What the daemon needs besides, the same for all outboxes."""

    model_config = SettingsConfigDict(
        env_prefix="RELAY_", extra="ignore", hide_input_in_errors=True
    )

    kafka_bootstrap_servers: str
    envelope: Literal["cloudevents", "debezium"] = "cloudevents"
    source: SourceReference | None = None
    create_topics: str | None = None
    delivery: Literal["at-least-once", "exactly-once"] = "at-least-once"
    failpoint: str = Field("", pattern=r"^([a-z_]+\.[a-z_]+(:[1-9][0-9]*)?)?$")
    retention: float = 86_400.0
    """Seconds for which published events are kept, while the ring has room."""
    retention_bytes: int | None = None
    wakeup: Literal["poll", "listen"] = "poll"
    log_keys: bool = False
    """Whether lines about events tell their keys, which may be of persons."""
    plaintext: Literal["no", "yes"] = "no"
    """Whether to connect to other machines in the clear."""
    http: str = HTTP_DEFAULT
    """Where to serve those who watch, host:port; empty: nowhere."""

    @property
    def http_address(self) -> tuple[str, int] | None:
        """Host and port to serve at; None: not at all."""
        return listen_address(self.http)

    @property
    def http_is_given(self) -> bool:
        """Whether that address was asked for, and is not the default."""
        return "http" in self.model_fields_set

    @field_validator("http")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        listen_address(value)
        return value

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
        if not all(map(_is_a_server, value.split(","))):
            raise ValueError("is not host:port[,host:port...] with ports from 1 to 65535")
        return value.strip()

    @field_validator("source", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None


def _is_a_server(text: str) -> bool:
    """Whether it is a host, with a port or without; librdkafka would take 99999 for 34463."""
    address = text.strip().rpartition("://")[2]
    host, colon, port = address.rpartition(":")
    if not colon or (host.count(":") > 1 and not host.endswith("]")):
        return bool(address)  # no port; or an address of IPv6 without brackets
    return bool(host) and port.isdecimal() and 0 < int(port) <= PORT_MAX


def _scaled(value: str, units: Mapping[str, int]) -> int | None:
    """The number that a text like `24h` means; None if it is none of that kind."""
    found = re.fullmatch(r"([0-9]{1,9})([A-Za-z]+)", value.strip())
    return int(found[1]) * units[found[2]] if found and found[2] in units else None
