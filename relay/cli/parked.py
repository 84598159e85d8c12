"""`relay parked`: what was set aside, why it waits, and what to do about it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Any
from uuid import UUID

import click

from relay import config
from relay.cli.options import chosen_outbox, outbox_option
from relay.core.printable import printable
from relay.postgres.cluster import check_schema
from relay.postgres.connect import connect
from relay.postgres.parked_desk import By, Chosen, Copy, ParkedDesk, Touched, Waiting
from relay.settings import SECONDS

__all__ = ["action_options", "parked", "performed", "the_desk"]

Command = Callable[..., None]


class Age(click.ParamType[float]):
    """A duration such as 90s, 15m, 2h or 7d, in seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+)([smhd])", str(value))
        if found is None:
            self.fail("is a number and a unit: 90s, 15m, 2h, 7d", param, ctx)
        return float(int(found[1]) * SECONDS[found[2]])


def _selection(command: Command) -> Command:
    for option in (
        click.option("--older-than", type=Age(), default=0.0, help="Waiting for longer: 15m, 2h."),
        click.option("--id", "event_id", type=click.UUID, help="The event of this id."),
        click.option("--key", help="Of this key."),
        click.option("--topic", help="Of this topic."),
    ):
        command = option(command)
    return command


def action_options(command: Command) -> Command:
    """What every command takes that changes something."""
    for option in (
        outbox_option,
        click.option("--json", "as_json", is_flag=True, help="One JSON array."),
        click.option("--dry-run", is_flag=True, help="Say what it would be, and change nothing."),
        click.option("--who", help="Who decided it, for the record. [default: user@machine]"),
        click.option("--why", required=True, help="The reason, for the record."),
    ):
        command = option(command)
    return command


@contextmanager
def the_desk() -> Iterator[ParkedDesk]:
    """The desk of the outbox that the command is about."""
    with closing(connect(chosen_outbox().address(), "parked")) as connection:
        check_schema(connection)
        yield ParkedDesk(connection)


def performed(done: str, touched: list[Touched], dry_run: bool, as_json: bool) -> None:
    """Say what was done to which keys."""
    if not touched:
        click.echo(
            f"relay: nothing that could be {done} was found; see `relay parked list`", err=True
        )
    if as_json:
        click.echo(json.dumps([asdict(one) for one in touched]))
        return
    verb = f"would be {done}" if dry_run else done
    for one in touched:
        events = f", {len(one.events)} events" if len(one.events) > 1 else ""
        click.echo(f"{verb}: {_name(one.topic, one.key, one.events)}{events}")


@click.group()
def parked() -> None:
    """Show, retry or discard events that were set aside.

    An event that the broker will never take waits here, and the later ones of its key behind it.
    """


@parked.command("list")
@_selection
@outbox_option
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def list_(
    topic: str | None, key: str | None, event_id: UUID | None, older_than: float, as_json: bool
) -> None:
    """Show which keys and topics wait: at which event, why, since when, and how many."""
    with the_desk() as desk:
        found = desk.waiting(_chosen(topic, key, event_id, older_than))
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found]))
        return
    click.echo("\n".join(map(_for_people, found)) or "nothing is parked, held or paused")


@parked.command()
@outbox_option
@click.option("--id", "event_id", type=click.UUID, required=True, help="The event of this id.")
@click.option("--payload", is_flag=True, help="The payload and the values of headers as well.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def show(event_id: UUID, payload: bool, as_json: bool) -> None:
    """Show a parked event; its payload only when asked for."""
    with the_desk() as desk:
        found = [_shown(one, payload) for one in desk.copies(str(event_id))]
    if not found:
        raise click.ClickException(f"event {event_id} is not parked")
    if as_json:
        click.echo(json.dumps(found))
        return
    for one in found:
        click.echo("\n".join(f"{name:14}{printable(str(value))}" for name, value in one.items()))


@parked.command()
@_selection
@click.option("--all", "everything", is_flag=True, help="All that is parked.")
@action_options
def retry(
    topic: str | None,
    key: str | None,
    event_id: UUID | None,
    older_than: float,
    everything: bool,
    why: str,
    who: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send what is parked again: each key whole, in order, before anything new of it.

    What is still refused waits on. A key is free when the last of its events is out.
    """
    chosen = _chosen(topic, key, event_id, older_than)
    if chosen == Chosen() and not everything:
        raise click.UsageError("say which: --topic, --key, --id, --older-than, or --all")
    with the_desk() as desk:
        touched = desk.retry(chosen, By(who or config.operator(), why, dry_run))
    performed("released", touched, dry_run, as_json)


@parked.command()
@_selection
@click.option("--yes-key", help="The key again: its events will never be published.")
@click.option("--yes-keyless", is_flag=True, help="With --id: the event has no key.")
@action_options
def discard(
    topic: str | None,
    key: str | None,
    event_id: UUID | None,
    older_than: float,
    yes_key: str | None,
    yes_keyless: bool,
    why: str,
    who: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Give up parked events of one key for good, or with --id one of them.

    What waits behind them goes on waiting, for `relay parked retry`.
    """
    if (yes_key is None) == (not yes_keyless):
        raise click.UsageError("repeat the key with --yes-key, or give --yes-keyless with --id")
    if event_id is None and (key is None or key != yes_key):
        raise click.UsageError("name one key twice, --key KEY --yes-key KEY, or an event with --id")
    if key not in (None, yes_key):
        raise click.UsageError("--key and --yes-key differ: nothing was discarded")
    with the_desk() as desk:
        chosen = _chosen(topic, yes_key, event_id, older_than)
        touched = desk.discard(chosen, By(who or config.operator(), why, dry_run))
    performed("discarded", touched, dry_run, as_json)


def _chosen(
    topic: str | None, key: str | None, event_id: UUID | None, older_than_s: float
) -> Chosen:
    return Chosen(topic, key, None if event_id is None else str(event_id), older_than_s)


def _shown(one: Copy, payload: bool) -> dict[str, object]:
    shown = asdict(one)
    raw = shown.pop("payload")
    if payload:
        shown["payload"] = None if raw is None else bytes(raw).decode("utf-8", "backslashreplace")
    else:
        shown["headers"] = sorted(one.headers)
    return shown


def _for_people(one: Waiting) -> str:
    what = _name(one.topic, one.key, () if one.event_id is None else (one.event_id,))
    behind = f", {one.events - 1:,} behind it" if one.event_id and one.events > 1 else ""
    count = f"{one.events:,} events wait" if one.event_id is None else f"waits{behind}"
    soon = "; released, the leader takes it up at once" if one.released else ""
    reason = printable(one.reason)
    return f"{what}\n    {count}, since {one.since_seconds:,.0f} s{soon}\n    {reason}"


def _name(topic: str, key: str | None, events: tuple[str, ...]) -> str:
    named = f"topic {printable(topic)}" + ("" if key is None else f" key {key!r}")
    return named + (f" event {events[0]}" if len(events) == 1 else "")
