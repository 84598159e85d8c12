"""The consumer's librdkafka properties: the user's, but for those that would break its promise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from coordinator.errors import BadInput

__all__ = ["client_properties", "refused"]

_OURS: Final[Mapping[str, str | int | bool]] = {
    # A new group begins with the oldest record: librdkafka's own default skips what is there.
    "auto.offset.reset": "earliest",
    "isolation.level": "read_committed",
}
_FIXED: Final[Mapping[str, str | int | bool]] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
}
_AFTER_THE_DATABASE: Final = "offsets are committed by the loop, after the database"
_REFUSED: Final[Mapping[str, str]] = {
    "enable.auto.commit": _AFTER_THE_DATABASE,
    "enable.auto.offset.store": _AFTER_THE_DATABASE,
    "auto.commit.interval.ms": _AFTER_THE_DATABASE,
    "auto.commit.enable": _AFTER_THE_DATABASE,
    "bootstrap.servers": "is an argument of its own",
    "metadata.broker.list": "is an argument of its own: bootstrap_servers",
    "group.id": "is an argument of its own: group_id",
}


def client_properties(
    bootstrap_servers: str, group_id: str, properties: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the client is made with.

    Raises:
        BadInput: one of `properties` may not be set, with the reason.
    """
    for name in properties:
        if name in _REFUSED:
            raise BadInput(f"properties[{name!r}]", _REFUSED[name])
    ours = {**_FIXED, "bootstrap.servers": bootstrap_servers, "group.id": group_id}
    return {**_OURS, **properties, **ours}


def refused(sentence: str, properties: Mapping[str, Any]) -> BadInput:
    """Return the error for what the client says of `properties`.

    Its sentence may quote a value, and that may be a secret: cutting it out could leave a part.
    """
    quoted = any(str(value) and str(value) in sentence for value in properties.values())
    text = "a value is not taken" if quoted else sentence.strip()
    return BadInput("properties", f"librdkafka: {text}")
