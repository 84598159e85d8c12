"""`relay replay`: retained events are published again."""

from __future__ import annotations

import json
import shlex
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from math import isinf
from typing import Any

import click

from coordinator.validation import NAME_CHARS_MAX, check_topic
from relay import config
from relay.admin.replay import Order, Replayed
from relay.admin.replay import replay as replay_order
from relay.cli.moments import Moment, MomentType, shown
from relay.cli.options import ENVELOPES, chosen_of, outbox_option
from relay.core.replay import EVERYBODY, Selection
from relay.core.span import ORIGIN, Place, Span
from relay.daemon.clock import monotonic_s
from relay.daemon.narrator import Narrator
from relay.daemon.shutdown import stop_on_signals
from relay.kafka.properties import faults, producer_properties
from relay.kafka.replay_sink import ReplaySink
from relay.observe import logs
from relay.postgres.cluster import check_schema
from relay.postgres.connect import connect
from relay.postgres.retained import Retained, Stretch

__all__ = ["replay"]

_STOPPED = 75


class _PlaceType(click.ParamType[Place]):
    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return Place.parse(str(value))
        except ValueError:
            self.fail("is WINDOW.POSITION, as an earlier replay has printed it", param, ctx)


class _RateType(click.ParamType[int]):
    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = str(value).removesuffix("/s")
        if not number.isdecimal() or not 0 < int(number) < 10**9:
            self.fail("is a number of events a second, such as 500/s", param, ctx)
        return int(number)


def _a_name(_: click.Context, __: click.Parameter, value: str) -> str:
    if not 0 < len(value) <= NAME_CHARS_MAX or not value.isprintable():
        raise click.BadParameter(f"is 1 to {NAME_CHARS_MAX} printable characters")
    return value


def _a_topic(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    try:
        if value is not None:
            check_topic(value)
    except ValueError as problem:
        raise click.BadParameter(str(problem)) from None
    return value


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be replayed, and how much that is."""

    order: Order
    found: dict[str, int]
    span: Span | None

    @property
    def total(self) -> int:
        return sum(self.found.values())


@dataclass(frozen=True, slots=True)
class _Missed:
    """What was chosen and not replayed."""

    gone: int = 0
    unpublished: int = 0


@click.command()
@outbox_option
@click.option("--since", type=MomentType(), help="Published from then on: a time, or an age (2h).")
@click.option("--until", type=MomentType(), help="Published before then.")
@click.option("--topic", help="Events of this topic.")
@click.option("--key", help="Events of this key.")
@click.option("--type", "event_type", help="Events of this type.")
@click.option("--id", "event_id", type=click.UUID, help="The event of this id.")
@click.option(
    "--for",
    "whom",
    default=EVERYBODY,
    callback=_a_name,
    help="The consumer that is to take them; every other inbox skips them.",
)
@click.option("--to-topic", callback=_a_topic, help="Publish into this topic instead.")
@click.option("--rate", type=_RateType(), help="At most so many events a second: 500/s.")
@click.option("--after", type=_PlaceType(), help="Go on behind WINDOW.POSITION.")
@click.option("--dry-run", is_flag=True, help="Say what would be published, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def replay(
    since: Moment | None,
    until: Moment | None,
    topic: str | None,
    key: str | None,
    event_type: str | None,
    event_id: object,
    whom: str,
    to_topic: str | None,
    rate: int | None,
    after: Place | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Publish events again that are published and still kept, in their order.

    Same ids, bytes and partitions, and the header ce_replay. Exit 0: all was sent. 1: some is kept
    no longer, or the broker refuses it. 75: it was stopped; the command to go on is printed.
    """
    chosen = Selection(topic, key, event_type, None if event_id is None else str(event_id))
    if since is None and until is None and chosen == Selection():
        raise click.UsageError("say which: --since, --until, --topic, --key, --type or --id")
    configured = config.load({}, faults)
    settings, outbox = configured.shared, chosen_of(configured.outboxes)
    properties = producer_properties(settings.kafka_bootstrap_servers, config.kafka_properties())
    with (
        logs.configured() as last_words,
        closing(connect(outbox.address(), "replay")) as connection,
    ):
        check_schema(connection)
        retained = Retained(connection)
        stretch = Stretch(
            ORIGIN.at_s if since is None else since.resolved(retained.now_s),
            float("inf") if until is None else until.resolved(retained.now_s),
            ORIGIN.number if after is None else after.window - 1,
        )
        order = Order(stretch, chosen, whom, after or Place(-1, 0), to_topic, rate)
        plan = _planned(retained, order)
        if dry_run or not plan.total:
            _report(plan, None, as_json, _Missed())
            return
        sink = ReplaySink(
            properties,
            outbox.source or "",
            monotonic_s,
            Narrator().broker_trouble,
            envelope=ENVELOPES[settings.envelope],
        )
        done = _perform(retained, sink, plan, stop_on_signals(last_words))
    missed = _Missed(plan.total - retained.seen if done.complete else 0, retained.unpublished)
    _report(plan, done, as_json, missed)
    if not done.complete:
        sys.exit(1 if done.why_not else _STOPPED)
    if missed.gone:
        sys.exit(1)


def _planned(retained: Retained, order: Order) -> _Plan:
    span = retained.bounds(order.stretch)
    found = {} if span is None else retained.count(span, order.selection)
    return _Plan(order, found, span)


def _perform(
    retained: Retained, sink: ReplaySink, plan: _Plan, stopping: threading.Event
) -> Replayed:
    with click.progressbar(
        length=plan.total,
        label="replayed",
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
        show_pos=True,
        item_show_func=lambda place: place and f"up to {place}",
    ) as bar:
        return replay_order(
            retained,
            sink,
            plan.order,
            stopping,
            lambda events, place: bar.update(events, str(place)),
            Narrator().broker_trouble,
        )


def _report(plan: _Plan, done: Replayed | None, as_json: bool, missed: _Missed) -> None:
    if not as_json:
        click.echo("\n".join(_for_people(plan, done, missed)))
        return
    found: dict[str, object] = {"chosen": plan.total, "topics": plan.found}
    if done is not None:
        last = done.last and str(done.last)
        found |= {"replayed": done.events, "last": last, "complete": done.complete}
        found |= {"why_not": done.why_not, **asdict(missed)}
    click.echo(json.dumps(found))


def _for_people(plan: _Plan, done: Replayed | None, missed: _Missed) -> Iterator[str]:
    topics = ", ".join(f"{name} {events:,}" for name, events in plan.found.items())
    yield f"chosen     {plan.total:,} events{topics and f': {topics}'}"
    if plan.span is not None:
        before, last = plan.span.cuts
        begin = f"after {shown(before.at_s)}" if before != ORIGIN else "from the first"
        yield f"published  {begin}, until {shown(last.at_s)}"
    if done is None:
        return
    yield f"replayed   {done.events:,}" + (f", up to {done.last}" if done.last else "")
    if missed.unpublished:
        yield f"           {missed.unpublished:,} are parked or discarded, so never published"
    if missed.gone:
        yield f"GONE       {missed.gone:,}: their leaf was emptied meanwhile (RELAY_RETENTION)"
    if not done.complete:
        yield f"STOPPED    {done.why_not or 'as asked'}; to go on:"
        yield f"           {_command(plan.order, done.last or plan.order.after)}"


def _command(order: Order, after: Place) -> str:
    """What goes on behind `after`; times are absolute, as `2h` would be others later."""
    stretch, chosen = order.stretch, order.selection
    options = {
        "--since": None if isinf(stretch.since_s) else shown(stretch.since_s),
        "--until": None if isinf(stretch.until_s) else shown(stretch.until_s),
        "--topic": chosen.topic,
        "--key": chosen.key,
        "--type": chosen.type,
        "--id": chosen.id,
        "--for": None if order.whom == EVERYBODY else order.whom,
        "--to-topic": order.to_topic,
        "--rate": None if order.rate is None else f"{order.rate}/s",
        "--after": None if after.window < 0 else str(after),
    }
    given = [part for name, value in options.items() if value is not None for part in (name, value)]
    return shlex.join(["relay", "replay", *given])
