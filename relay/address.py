"""Where an outbox is: in which database, and there in which schema."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from coordinator.outbox_schema import DEFAULT

__all__ = ["Address", "Place", "address_of"]


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
