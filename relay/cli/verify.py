"""`relay verify`: nothing that was published is lost, invented, reordered or changed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing

import click

from relay import config
from relay.admin.verify import Verified
from relay.admin.verify import verify as compare
from relay.cli.moments import Moment, MomentType, shown
from relay.cli.options import chosen_of, outbox_option
from relay.core.span import ORIGIN
from relay.errors import BadConfiguration
from relay.kafka.log_reader import LogReader
from relay.kafka.properties import faults
from relay.postgres.cluster import check_schema
from relay.postgres.connect import connect
from relay.postgres.retained import Retained, Stretch

__all__ = ["verify"]

_TOLD_EVERY = 100_000
_SHOWN_MAX = 10
_NOTHING = "nothing: no event of that time is kept, so nothing was compared"

_WRONG = {
    "lost": "lost",
    "phantoms": "invented",
    "out_of_order": "out of order",
    "wrong_bytes": "with other bytes",
    "wrong_partition": "in a wrong partition",
    "split": "in two partitions",
    "replayed_early": "replayed, not published",
}


@click.command()
@outbox_option
@click.option("--since", type=MomentType(), required=True, help="A time, or an age: 90m, 2h, 7d.")
@click.option("--until", type=MomentType(), help="Published before then.")
@click.option("--topic", help="This topic only; also finds what was invented in it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def verify(since: Moment, until: Moment | None, topic: str | None, as_json: bool) -> None:
    """Compare the events that are published and still kept with the records of their topics.

    Changes nothing, and may run beside a relay. Exit 0: nothing was lost, invented, reordered or
    changed. 1: something was; the first of it is named.
    """
    configured = config.load({}, faults)
    settings, outbox = configured.shared, chosen_of(configured.outboxes)
    if settings.envelope != "cloudevents":
        raise BadConfiguration(
            f"RELAY_ENVELOPE: is {settings.envelope}; `relay verify` knows records by the headers "
            "of cloudevents, and can tell nothing of others"
        )
    with (
        closing(connect(outbox.address(), "verify")) as connection,
        closing(LogReader(settings.kafka_bootstrap_servers, config.kafka_properties())) as reader,
    ):
        check_schema(connection)
        retained = Retained(connection)
        until_s = float("inf") if until is None else until.resolved(retained.now_s)
        stretch = Stretch(since.resolved(retained.now_s), until_s)
        found = compare(retained, reader, outbox.source or "", stretch, topic, _Ticker().tick)
    click.echo(json.dumps(_as_json(found)) if as_json else "\n".join(_for_people(found)))
    if not found.ok:
        sys.exit(1)


class _Ticker:
    """A line on a terminal now and then, while millions are read."""

    def __init__(self) -> None:
        self._read = {"events": 0, "records": 0}

    def tick(self, what: str, more: int) -> None:
        before = self._read[what] // _TOLD_EVERY
        self._read[what] += more
        if sys.stderr.isatty() and self._read[what] // _TOLD_EVERY > before:
            click.echo(f"read {self._read[what]:,} {what}", err=True)


def _as_json(found: Verified) -> dict[str, object]:
    return {
        "ok": found.ok,
        "events": found.events,
        "in_kafka": found.counts["published_unique"],
        **{name: found.counts[name] for name in ("duplicates", "replayed", *_WRONG)},
        "removed_by_topic": found.removed,
        "unpublished": found.unpublished,
        "gone": found.gone,
        "unknown": found.unknown,
        "replays_of_others": found.replays_of_others,
        "foreign": found.foreign,
        "missing_topics": found.missing_topics,
        "violations": [{"place": str(place), **one._asdict()} for place, one in found.violations],
    }


def _for_people(found: Verified) -> Iterator[str]:
    if found.span is None:
        yield "nothing was published in that time, as far as it is kept"
        return
    before, *_, last = found.span.cuts
    begin = f"after {shown(before.at_s)}" if before != ORIGIN else "from the first"
    yield f"published  {begin}, until {shown(last.at_s)}"
    yield f"events     {found.events:,}"
    yield f"in Kafka   {found.counts['published_unique']:,}"
    for number, text in _beside(found):
        if number:
            yield f"           {number:,} {text}"
    for topic in found.missing_topics:
        yield f"no topic   {topic}" + (": nothing was published to it" if found.ok else "")
    for name, text in _WRONG.items():
        if found.counts[name]:
            yield f"WRONG      {found.counts[name]:,} {text}"
    for _, one in found.violations[:_SHOWN_MAX]:
        yield f"           {one.invariant}: {one.sentence}"
    said = "nothing lost, invented, reordered or changed" if found.events else _NOTHING
    yield "verified   " + (said if found.ok else "NOT")


def _beside(found: Verified) -> list[tuple[int, str]]:
    """What is no fault, and is said so that the sums come out."""
    return [
        (found.counts["duplicates"], "records more, repeats of these"),
        (found.counts["replayed"], "records more, replayed"),
        (found.removed, "removed by the topic's own retention or compaction"),
        (found.unpublished, "not published: parked or discarded"),
        (found.gone, "no longer kept: their leaf was emptied meanwhile"),
        (found.unknown, "records whose rows are kept no longer, or of before: not judged"),
        (found.replays_of_others, "replayed records of events of another time"),
        (found.foreign, "records of other sources"),
    ]
