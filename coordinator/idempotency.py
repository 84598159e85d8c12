"""Event ids that a retry makes again: the same run and type, the same idempotency key."""

from __future__ import annotations

import json
from uuid import UUID, uuid5

_NAMESPACE = UUID("6f757462-6f78-5e1a-9c5d-72756e65766e")


def event_id(tenant_id: str, run_id: str, event_type: str) -> UUID:
    """Return the idempotency key of a run's event.

    A number of the database would be simpler, but after a failover that lost commits it is handed
    out again, for another event; this one can only ever mean the same.
    """
    # A JSON array: ("a", "b/c") and ("a/b", "c") must not meet.
    return uuid5(_NAMESPACE, json.dumps([tenant_id, run_id, event_type]))
