"""Every statement of relay/sql by name, and what each may be bound with."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from uuid import uuid4

from relay import sql
from relay.core.window import CHUNK_BITS

__all__ = ["BOUND", "statements"]


def statements() -> dict[str, str]:
    """Every statement of relay/sql by name."""
    files = [Path(file.name) for file in resources.files(sql).iterdir()]
    concerns = [file.stem for file in files if file.suffix == ".sql"]
    return {name: text for concern in concerns for name, text in sql.load(concern).items()}


_ADOPTED = ("ids", "topics", "keys", "types", "content_types", "payloads", "headers")
_RANGES = {"low": "{1}", "high": "{2}"}
_PLACE = {"first": 0, "last": 9, "leaf": 0, "since": "1:1:", "until": "2:2:", "limit": 1}
_KEPT = dict.fromkeys(("topic", "key", "type", "id"))
_LEASES = ("acquire", "claim", "leader", "renew", "release")
_LEASE = {"owner": "o", "term": 1, "ttl_s": 6.0, "leads": 1, "good_s": 2.0}
_ENTRY = {"number": 1, "step": 0, "snapshot": "1:1:", "last_position": 0, "closed": False}
_WHOSE = {"numbering": 0, "reach": 0}
_EPOCH = {"nth": 9, "system": 1, "timeline": 1, "numbering": 0, "floor": 0}
_CHOSEN = {"topic": "t", "key": "k", "id": str(uuid4()), "older_than_s": 0.0}
_KEY = {"topic": "t", "key": "k", "who": "w", "why": "y"}
_ROWS = {"positions": [1], "reasons": ["r"]}
_PARKED = ("list", "show", "retry_holds", "retry_keyless", "lock_holds", "discard", "release_empty")
BOUND: Mapping[str, Mapping[str, object]] = {
    **dict.fromkeys((f"parked_{name}" for name in _PARKED), _CHOSEN),
    "board_relays": {"limit": 1},
    "board_waiting": {"limit": 1, "count_max": 1, "look_max": 1},
    "session_limited": {"limit": "1s"},
    "parked_pause": _KEY,
    "parked_known": {"topic": "t", "limit": 1},
    "parked_resume": _KEY,
    "parked_note": {"action": "retry", "events": [], "positions": [], **_KEY},
    "parking_put": _ROWS,
    "parking_put_back": _ROWS,
    "parking_hold": {
        "topics": ["t"],
        "keys": ["k"],
        "ids": [str(uuid4())],
        "reasons": ["r"],
        "until_topic": [False],
    },
    "parking_done": {"position": 1},
    "parking_holds": {"number": 9},
    "parking_release": {"number": 9, "released": [1], "limit": 9},
    "parking_go_on": {"number": 9, "released": [1]},
    "parking_there": {"topics": ["t"]},
    "parking_end": {"released": [1]},
    "parking_take": {"begun": [1]},
    "parking_plan": {"after": 0, "chunk_bits": CHUNK_BITS},
    "parking_page": _PLACE,
    "window_plan": {**_RANGES, "after": 0, "upto": 9, "chunk_bits": CHUNK_BITS},
    "window_page": _PLACE,
    "status_pending": {**_RANGES, "after": "{0}", "upto": "{9}", "limit": 1},
    "doctor_settings": {"names": ["fsync"]},
    "doctor_pending": {**_RANGES, "after": "{0}", "upto": "{9}", "limit": 1},
    "doctor_recent": {"limit": 1},
    "cursor_append": {**_ENTRY, **_WHOSE, **_LEASE},
    "cursor_block": {"event": str(uuid4()), "reason": "r", **_LEASE},
    "cluster_epoch_newest": _EPOCH,
    "cluster_epoch_add": _EPOCH,
    "cluster_floor": {"reach": 0},
    "blockers_named": {"after_s": 10.0},
    "rotation_survey": {"retention_s": 1.0},
    "rotation_mark": {"number": 1, "snapshot": "1:1:", "every_s": 1.0, **_LEASE},
    "rotation_forget": {"number": 1, **_LEASE},
    "rotation_term": _LEASE,
    "rotation_needed": {"xmax": "9", "xip": "{3}", "floor": 0},
    "wakeup_lock_timeout": {"ms": "3000"},
    "rotation_log_needed": {"number": 1, "keep_s": 1.0},
    "retained_milestones": {"before": 1},
    "retained_log": {"number": 1, "numbering": 0, "limit": 1},
    "retained_count": {**_RANGES, "above": 0, **_KEPT},
    "retained_page": {**_PLACE, "above": 0, **_KEPT},
    "retained_block": {"first": 0, "last": 9, "leaf": 0},
    "adopt_table": {"name": "public.traces"},
    "adopt_columns": {"table": 1},
    "adopt_take": {"limit": 1},
    "adopt_insert": dict.fromkeys(_ADOPTED, "{}"),
    "adopt_mark": {"ids": [1]},
    **dict.fromkeys((f"lease_{name}" for name in _LEASES), _LEASE),
    "lease_hand_over": {**_LEASE, "heir": "h", "keep_s": 3.0},
    "cursor_unblock": _LEASE,
}
"""Those that take nothing are left out."""
