"""Where an outbox is: in which database, and there in which schema."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from psycopg.conninfo import conninfo_to_dict

from coordinator.outbox_schema import DEFAULT

__all__ = ["Address", "Place", "address_of", "without_secrets"]

_NO_SECRETS = ("host", "hostaddr", "port", "dbname", "user", "sslmode", "target_session_attrs")


@dataclass(frozen=True, slots=True)
class Address:
    """The connection string of the database, to be kept out of messages, and the schema."""

    url: str = field(repr=False)
    schema: str = DEFAULT


Place: TypeAlias = Address | str
"""A connection string alone: the outbox is in the schema `outbox`."""


def address_of(place: Place) -> Address:
    """The address, whichever way it was given."""
    return Address(place) if isinstance(place, str) else place


def without_secrets(url: str) -> str:
    """What may be shown of a connection string: listed, as any other part may hold a secret."""
    parts = conninfo_to_dict(url.replace("postgresql+psycopg://", "postgresql://", 1))
    return " ".join(f"{name}={parts[name]}" for name in _NO_SECRETS if name in parts)
