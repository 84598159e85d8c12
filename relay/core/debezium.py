"""An event as a Kafka record of Debezium's outbox event router, for consumers that know that one.

What the router makes of a row of its table, and what is sent here instead:

    column          the router's record                           here
    id              header `id`, as text                          the same
    type            a header or part of the value, by its option  header `eventType`
                    `table.fields.additional.placement`
    aggregateid     key                                           the event's key
    payload         value; with BinaryDataConverter its bytes     the event's payload
                    alone; null is a tombstone                    (without one a tombstone)
    aggregatetype   topic `outbox.event.<aggregatetype>`, or by   the event's topic as it stands
                    its option `route.topic.replacement`
    (the moment     the record's timestamp                        the same: when it was sent
    it was read)

The topic is not prefixed: an event names its own, so the writer says `outbox.event.order` where
consumers read that. Two headers are ours, the place and its epoch, as in the other envelope: by
them a repeat can be told from an event that was written twice. A record without `ce_specversion` is
no CloudEvent, so nobody takes it for one.

Source: Debezium's documentation, "Outbox Event Router", of version 2 and 3.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from relay.core.envelope import PLACE_DIGITS, Headers
from relay.core.inputs import Row

__all__ = ["debezium"]


def debezium(_source: str, epoch: str, window_number: int) -> Callable[[Row], Headers]:
    """A function that makes the headers of one event of window `window_number`; see Envelope.

    The router has no header for a source or a content type. A header of the writer's that is called
    `id` or `eventType` is left out: most clients read the last of a name, and would take it for the
    event's.
    """
    epoch_header = ("ce_outboxepoch", epoch.encode())
    window = f"{window_number:0{PLACE_DIGITS}d}."

    def headers_of(row: Row) -> Headers:
        position, event_id, _, _, event_type, _, _, _, extra = row
        headers: Headers = [
            ("id", event_id),
            ("eventType", event_type),
            ("ce_sequence", window + format(position, "019d")),
            epoch_header,
        ]
        if extra is not None:
            written = json.loads(extra)
            written.pop("id", None)
            written.pop("eventType", None)
            headers.extend(written.items())
        return headers

    return headers_of
