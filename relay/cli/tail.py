"""`relay tail`: events as they are published."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice

import click

from relay.cli.options import chosen_outbox, outbox_option
from relay.core.printable import printable
from relay.core.replay import Selection
from relay.core.span import Placed
from relay.daemon.clock import monotonic_s, rest
from relay.errors import Unreachable
from relay.outboxes import Outbox
from relay.postgres.cluster import check_schema
from relay.postgres.connect import connect
from relay.postgres.retained import Retained

__all__ = ["tail"]

EVERY_S = 1.0

REST_FOR_EACH_SECOND_S = 4.0
"""So long a rest for each second that a look took: at most a fifth of the time is spent looking."""

EVENTS_AT_ONCE_MAX = 5_000
"""A look ends behind so many; what was published besides is passed over, and that is said."""


@dataclass(frozen=True, slots=True)
class _Form:
    """What is shown of an event besides its name."""

    as_json: bool
    key: bool
    payload: bool


@click.command()
@outbox_option
@click.option("--topic", help="Events of this topic.")
@click.option("--key", help="Events of this key.")
@click.option("--type", "event_type", help="Events of this type.")
@click.option("--with-key", is_flag=True, help="Show the key, which may be personal data.")
@click.option("--with-payload", is_flag=True, help="Show the payload.")
@click.option("--count", type=click.IntRange(1), help="End after so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def tail(
    topic: str | None,
    key: str | None,
    event_type: str | None,
    with_key: bool,
    with_payload: bool,
    count: int | None,
    as_json: bool,
) -> None:
    """Show events as they are published, from now on, in their order, until Ctrl-C.

    Reads the outbox, not the topic, a second behind, and takes nothing from anybody. What was
    parked is not shown when it goes out later. Needs the role outbox_relay.
    """
    form = _Form(as_json, with_key, with_payload)
    events = _published(chosen_outbox(), Selection(topic, key, event_type))
    with suppress(KeyboardInterrupt):
        for one in islice(events, count):
            click.echo(_shown(one, form))


def _published(outbox: Outbox, selection: Selection) -> Iterator[Placed]:
    """Each event, for ever, through a database that goes away."""
    never = threading.Event()
    after: int | None = None
    while True:
        try:
            with closing(connect(outbox.address(), "tail")) as connection:
                check_schema(connection)
                while True:
                    began_s = monotonic_s()
                    retained = Retained(connection)
                    if after is not None:
                        yield from _of_a_look(retained, after, selection)
                    after = retained.published.number
                    took_s = monotonic_s() - began_s
                    rest(max(EVERY_S, took_s * REST_FOR_EACH_SECOND_S), unless=never)
        except Unreachable as problem:
            _say(str(problem))
            rest(EVERY_S, unless=never)


def _of_a_look(retained: Retained, after: int, selection: Selection) -> Iterator[Placed]:
    told = 0
    for page in retained.follow(after, selection):
        if told >= EVENTS_AT_ONCE_MAX:
            _say(f"more than {EVENTS_AT_ONCE_MAX:,} in one look: the rest is passed over")
            return
        yield from page
        told += len(page)


def _say(text: str) -> None:
    click.echo(f"relay: {printable(text)}", err=True)


def _shown(one: Placed, form: _Form) -> str:
    _, event_id, topic, key, kind, content_type, payload, time, _ = one.row
    text = None if payload is None else bytes(payload).decode("utf-8", "backslashreplace")
    if form.as_json:
        named = {"id": event_id, "topic": topic, "type": kind, "time": time}
        named |= {"place": str(one.place), "content_type": content_type}
        chosen = {"key": key} if form.key else {}
        return json.dumps({**named, **chosen, **({"payload": text} if form.payload else {})})
    line = f"{time} {topic} {kind} {event_id}"
    if form.key:
        line += f" key={key!r}"
    if form.payload:
        line += f"\n    {text}"
    return "\n    ".join(printable(part) for part in line.split("\n    ", 1))
