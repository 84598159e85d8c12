"""Event ids that a retry makes again: the same cause and type, the same idempotency key."""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import UUID, uuid5

_NAMESPACE = UUID("6f757462-6f78-5e1a-9c5d-72756e65766e")


def event_id(tenant_id: str, run_id: str, event_type: str) -> UUID:
    """Return the idempotency key of a run's event.

    A number of the database would be simpler, but after a failover that lost commits it is handed
    out again, for another event; this one can only ever mean the same.
    """
    # A JSON array: ("a", "b/c") and ("a/b", "c") must not meet.
    return uuid5(_NAMESPACE, json.dumps([tenant_id, run_id, event_type]))


def derived_event_id(key: Sequence[str], event_type: str, ordinal: int) -> UUID:
    """Return the idempotency key of an event of a transaction under `key`.

    Args:
        key: the transaction's key.
        event_type: the event's type.
        ordinal: how many events of this type the transaction had before; counted for each type, so
            that a new type in a later release moves no id of the others.
    """
    # A list inside the list: no key of a transaction can meet the three names of a run's event.
    return uuid5(_NAMESPACE, json.dumps([list(key), event_type, ordinal]))
