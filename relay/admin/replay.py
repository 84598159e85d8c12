"""Publishes retained events again, beside the relay and without its knowledge.

It needs no lease: nothing is written to the database, and a producer of its own cannot come between
the batches of the leader's. What it is asked for is read in the order of publication, some events
at a time, and only the place of the last one that was acknowledged is worth remembering: whoever
goes on behind it repeats at most what was in flight. It is kept nowhere but in the hands of who
asked; a file would outlive what it is about.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from relay.core.inputs import Acked, Doubtful, Input, Lost, Refused
from relay.core.pacing import retry_rest_s
from relay.core.replay import Selection, marked
from relay.core.span import Place, Placed
from relay.daemon.clock import monotonic_s, rest
from relay.errors import Unreachable
from relay.kafka.replay_sink import ReplaySink
from relay.postgres.retained import Retained, Stretch

__all__ = ["Order", "Replayed", "replay"]

SENDS_A_SECOND = 10
"""With a rate, so many times a second the rate's share of events is sent."""

EVENTS_AT_ONCE_MAX = 8_192
"""As many as the relay sends at once."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be replayed.

    Attributes:
        stretch, selection: which events.
        after: the place of the last event that an earlier run has replayed.
        whom: the name of the consumer that it is for, or `*`.
        to_topic: None is the event's own.
        rate: at most so many events a second; None is no limit.
    """

    stretch: Stretch
    selection: Selection
    whom: str
    after: Place = field(default=Place(-1, 0))
    to_topic: str | None = None
    rate: int | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of it.

    Attributes:
        events: acknowledged by the broker.
        last: the place of the last one of them.
        complete: whether all was sent.
        why_not: what the broker or the database said; None as well if it was asked to stop.
    """

    events: int = 0
    last: Place | None = None
    complete: bool = False
    why_not: str | None = None


def replay(
    retained: Retained,
    sink: ReplaySink,
    order: Order,
    stopping: threading.Event,
    on_sent: Callable[[int, Place], None],
    on_trouble: Callable[[str], None],
) -> Replayed:
    """Send what `order` says, until it is done, refused, the database is away, or `stopping`.

    Args:
        on_sent: told how many events were acknowledged since it was told last, and the place of
            the last one.
        on_trouble: told why something is sent again.
    """
    done = Replayed()
    try:
        for batch in _batches(retained, order):
            began_s = monotonic_s()
            outcome = _sent(sink, batch, stopping, on_trouble)
            if not isinstance(outcome, Acked):
                reason = _why(outcome) if isinstance(outcome, Refused) else None
                return replace(done, why_not=reason)
            done = Replayed(done.events + len(batch), batch[-1].place)
            on_sent(len(batch), batch[-1].place)
            if order.rate is not None:
                rest(began_s + len(batch) / order.rate - monotonic_s(), stopping)
    except Unreachable as problem:
        return replace(done, why_not=str(problem))
    return replace(done, complete=True)


def _why(refused: Refused) -> str:
    return refused.reason if refused.topic is None else f"topic {refused.topic}: {refused.reason}"


def _batches(retained: Retained, order: Order) -> Iterator[list[Placed]]:
    at_once = EVENTS_AT_ONCE_MAX
    if order.rate is not None:
        at_once = min(at_once, max(1, order.rate // SENDS_A_SECOND))
    for page in retained.read(order.stretch, order.selection):
        again = [
            one._replace(row=marked(one.row, order.whom, order.to_topic))
            for one in page
            if one.place > order.after
        ]
        for begin in range(0, len(again), at_once):
            yield again[begin : begin + at_once]


def _sent(
    sink: ReplaySink,
    batch: list[Placed],
    stopping: threading.Event,
    on_trouble: Callable[[str], None],
) -> Input:
    """Acked, or Refused; Lost when it was to stop."""
    attempts = 0
    while not stopping.is_set():
        outcome = sink.send_again(batch, lambda: not stopping.is_set())
        if not isinstance(outcome, Doubtful):
            return outcome
        attempts += 1
        on_trouble(outcome.reason)
        rest(retry_rest_s(attempts), stopping)
    return Lost()
