"""A replay: published events once more, for those who need them again.

Each record is the one of before, key, payload, headers and place, with one header more:
`ce_replay` says that it is none of the stream, and for whom it is: the name of a consumer, or `*`.
By it consumers drop what is for another, and a memory that knows events by their place does not
take an old place for a step back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from relay.core.inputs import Row

__all__ = ["EVERYBODY", "REPLAY_HEADER", "Selection", "marked"]

REPLAY_HEADER = "ce_replay"
EVERYBODY = "*"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of the retained events; None does not restrict."""

    topic: str | None = None
    key: str | None = None
    type: str | None = None
    id: str | None = None


def marked(row: Row, whom: str, to_topic: str | None) -> Row:
    """The event as it is sent again: marked, and to another topic if one is given.

    The mark goes where the writer's own headers are, which can hold no `ce_*`.
    """
    position, event_id, topic, key, kind, content_type, payload, time, extra = row
    headers = json.dumps({**json.loads(extra or "{}"), REPLAY_HEADER: whom})
    return position, event_id, to_topic or topic, key, kind, content_type, payload, time, headers
