"""An event as a Kafka record: CloudEvents 1.0, Kafka protocol binding, binary mode.

The key and the payload are the writer's bytes; what CloudEvents has to say stands in headers
`ce_*`. Two of them are extensions. `ce_sequence` is the event's place, window number and position
in fixed width, so that places compare as text; `ce_outboxepoch` names the cluster and timeline that
the place belongs to. The window is stored before its first event is sent, so the place is the same
on every attempt.

Sources: CloudEvents specification 1.0.2; its Kafka protocol binding, section 3.2; its extension
"sequence".
"""

from __future__ import annotations

import json
from collections.abc import Callable

from relay.core.inputs import Row

__all__ = ["PLACE_DIGITS", "Envelope", "Headers", "envelope"]

Headers = list[tuple[str, str | bytes | None]]

Envelope = Callable[[str, str, int], Callable[[Row], Headers]]
"""Of the source, the epoch and a window's number: what makes the headers of its events. It is asked
once a window, and what it gives is called for every event."""

PLACE_DIGITS = 19
"""Digits of the largest 64-bit integer: places of any size compare as text."""


def envelope(source: str, epoch: str, window_number: int) -> Callable[[Row], Headers]:
    """A function that makes the headers of one event of window `window_number`.

    What is the same for the whole window is made once: this runs for every event.
    """
    version = ("ce_specversion", b"1.0")
    source_header = ("ce_source", source.encode())
    epoch_header = ("ce_outboxepoch", epoch.encode())
    window = f"{window_number:0{PLACE_DIGITS}d}."

    def headers_of(row: Row) -> Headers:
        position, event_id, _, _, event_type, content_type, _, time, extra = row
        headers: Headers = [
            version,
            ("ce_id", event_id),
            source_header,
            ("ce_type", event_type),
            ("ce_time", time),
            ("content-type", content_type),
            ("ce_sequence", window + format(position, "019d")),
            epoch_header,
        ]
        if extra is not None:
            headers.extend(json.loads(extra).items())
        return headers

    return headers_of
