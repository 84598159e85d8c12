"""Walking through the relay's machine: one with a past, and every step of a small world."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple

from relay.core import effects as do
from relay.core import inputs as told
from relay.core.cursor import Cursor
from relay.core.machine import Moment, Relay, State, step
from relay.core.reached import Reached
from relay.core.snapshot import Snapshot
from relay.core.turns import Step
from relay.core.window import Page

NOW = Moment(100.0)
LATER = Moment(200.0)
STOPPING = Moment(200.0, stopping=True)
LISTENING = Moment(200.0, listening=True)

C, S, NEXT = (Snapshot.parse(text) for text in ("10:10:", "20:20:", "30:30:"))
CLOSED = Cursor(1, 1, C, S, 0, closed=True)
OPENED = replace(CLOSED.opened(NEXT), window_id="2@1")
P1, P2 = Page(1, 2, 8), Page(11, 12, 8)


def row(position: int) -> told.Row:
    event_id = f"id-{position}"
    return (position, event_id, "topic", "key", "type", "text/plain", b"x", "time", None)


ROWS: dict[Page, Sequence[told.Row]] = {P1: [row(1), row(2)], P2: [row(11)]}


def walk(*given: told.Input, moment: Moment = NOW) -> Step:
    """A new relay after `given`; the last of them is told at `moment`, those before at NOW."""
    relay, effect = Relay(), do.Effect()
    for at, one in enumerate(given):
        relay, effect = step(relay, one, moment if at == len(given) - 1 else NOW)
    return relay, effect


def send(rows: told.Rows, *left_out: int, cursor: Cursor = OPENED) -> do.Send:
    """What sends `rows` in the window that was opened."""
    last = told.position(rows[-1])
    return do.Send(
        rows,
        cursor.number,
        Reached(cursor.window_id, last, frozenset(left_out), cursor.last_position),
    )


LEADING = (told.Elected(), told.Loaded(CLOSED, ()), told.Recovered())
MOMENTS = (NOW, LATER, LISTENING, STOPPING)
READING = (*LEADING, told.Opened(OPENED, (P1, P2)))
SENDING = (*READING, told.PageRead(ROWS[P1]))
SAVING = (*SENDING, told.Acked())
SENDING_LAST = (*LEADING, told.Opened(OPENED, (P2,)), told.PageRead(ROWS[P2]))
KEY: told.Hold = ("topic", "key")
RELEASING = OPENED.finished().opened(NEXT)
HALVED = (*SENDING, told.Refused("too large"))


class Taken(NamedTuple):
    """A step that was taken."""

    before: Relay
    given: told.Input
    moment: Moment
    after: Relay
    effect: do.Effect


def every_step() -> Iterator[Taken]:
    """Each step from each state that can be reached within a world of two pages, told anything an
    honest shell may answer, whether it was asked to stop or not."""
    first = step(Relay(), told.Elected(), NOW)
    yield Taken(Relay(), told.Elected(), NOW, *first)
    waiting, seen = deque([first]), {_summary(*first)}
    while waiting:
        before, wanted = waiting.popleft()
        for given, moment in product(_answers(wanted), MOMENTS):
            after, effect = step(before, given, moment)
            yield Taken(before, given, moment, after, effect)
            if after.state is not State.STOPPED and _summary(after, effect) not in seen:
                seen.add(_summary(after, effect))
                waiting.append((after, effect))


def _summary(relay: Relay, effect: do.Effect) -> object:
    closed = relay.cursor and (relay.cursor.closed, relay.cursor.last_position, relay.cursor.number)
    rows = tuple(told.position(one) for one in relay.rows)
    flags = (min(relay.at_once, 4), min(relay.attempts, 2), relay.reported, relay.asleep)
    parking = (relay.held, tuple(told.position(one.row) for one in relay.aside))
    return (relay.state, type(effect), closed, relay.pages, rows, flags, parking, relay.reached)


def _answers(wanted: do.Effect) -> Iterator[told.Input]:
    yield told.Lost()
    match wanted:
        case do.StandBy():
            yield told.Elected()
        case do.Load():
            yield told.Loaded(CLOSED, ())
            yield told.Loaded(OPENED, (P1, P2))
            yield told.Loaded(OPENED.advanced(12), ())
            yield told.Loaded(CLOSED, (), frozenset([KEY]))
            yield told.Loaded(RELEASING, (P1, P2))
        case do.Recover():
            yield from (told.Recovered(), told.Doubtful("slow"))
            yield told.Recovered(Reached(OPENED.window_id, 1))
            yield told.Recovered(Reached(OPENED.window_id, 2))
            yield told.Recovered(Reached("another", 12))
        case do.OpenNext():
            yield told.NothingAhead()
            yield told.Opened(OPENED, (P1, P2))
            yield told.Opened(RELEASING, (), frozenset())
        case do.Read(_, page, _):
            yield told.PageRead([])
            yield told.PageRead(ROWS.get(page, []))
        case do.Send():
            yield from (told.Acked(), told.Doubtful("slow"), told.Refused("too large"))
            yield told.Refused("missing", passing=True)
        case do.Save(cursor, _):
            yield told.Saved(cursor)
        case do.ReportBlocked():
            yield told.Reported()
        case do.Rest():
            yield told.Rested()
        case do.LieDown():
            yield from (told.Asleep(), told.Disturbed())
        case do.Sleep():
            yield told.Woken()
        case do.Rise():
            yield told.Risen()
