from __future__ import annotations

import json

from relay.core.blockers import Blockers
from relay.core.status import PENDING_COUNTED_MAX, Blocked, Retained, Status

IDLE = Status(0, 0.0, "host/1/ab", 3, 0, 0, 17, None)


def test_a_status_can_be_written_as_json() -> None:
    blocked = Status(
        5,
        1.5,
        None,
        3,
        1,
        1,
        17,
        Blocked("id-1", "too large", 9.0),
        Retained(9, 1),
        Blockers(hidden=2),
    )

    assert json.loads(json.dumps(blocked.to_dict())) == {
        "pending": 5,
        "oldest_pending_seconds": 1.5,
        "leader": None,
        "term": 3,
        "parked": 1,
        "held": 1,
        "window": 17,
        "blocked": {"event_id": "id-1", "reason": "too large", "since_seconds": 9.0},
        "retained": {"ring_bytes": 9, "leaves_in_use": 1, "oldest_kept_seconds": None},
        "blockers": {"named": [], "hidden": 2},
        "pending_is_at_least": False,
        "delivery": None,
        "envelope": None,
    }


def test_nothing_is_blocked_while_all_goes_well() -> None:
    assert IDLE.to_dict()["blocked"] is None


def test_a_count_that_reached_its_limit_says_so() -> None:
    at_limit = Status(PENDING_COUNTED_MAX, 0.0, None, 0, 0, 0, 0, None)

    assert at_limit.to_dict()["pending_is_at_least"] is True
