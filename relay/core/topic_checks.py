"""Whether topics can take the events that wait for them: judged by what the broker says.

A broker need not tell (an old one, one that denies DescribeConfigs): then a check is skipped, and
says so, and is not taken for passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from relay.core.checkup import Finding, fail, named_briefly, ok, skip, warn

__all__ = ["Demand", "Topic", "topic_checks"]

RECORD_OVERHEAD_BYTES = 600
"""What the envelope's headers and the format add to a small event, rounded up."""

NEVER_MS = -1


@dataclass(frozen=True, slots=True)
class Demand:
    """What one topic is asked to take.

    events         that wait for it; 0: it was published to of late
    largest_bytes  payload and key of the largest of them
    oldest_s       the age of the oldest of them
    keyless        how many have no key
    """

    topic: str
    events: int = 0
    largest_bytes: int = 0
    oldest_s: float = 0.0
    keyless: int = 0


@dataclass(frozen=True, slots=True)
class Topic:
    """What the broker says of a topic that is there; None: it does not tell.

    replicas, in_sync  the least of any of its partitions
    operations         what this client may do with it
    """

    name: str
    partitions: int
    replicas: int
    in_sync: int
    settings: Mapping[str, str] | None = None
    operations: frozenset[str] | None = None

    def number(self, setting: str) -> int | None:
        """A setting that is a number."""
        value = (self.settings or {}).get(setting)
        return None if value is None else int(value)


def topic_checks(
    demands: Iterable[Demand],
    topics: Mapping[str, Topic],
    client_max_bytes: int,
    *,
    creates: bool,
) -> Iterator[Finding]:
    """`creates`: the relay makes topics that are missing. `client_max_bytes`: its own limit."""
    asked = {one.topic: one for one in demands}
    there = {name: topic for name, topic in topics.items() if name in asked}
    yield _exist(asked, there, creates=creates)
    yield _permitted(there)
    yield _sizes(asked, there, client_max_bytes)
    yield _retention(asked, there)
    yield _replication(there)
    yield _compaction(asked, there)


def _exist(asked: Mapping[str, Demand], there: Mapping[str, Topic], *, creates: bool) -> Finding:
    missing = asked.keys() - there.keys()
    if not missing:
        told = named_briefly(asked) or "no event is there yet, so none is known"
        return ok("topics", f"{len(asked):,} in use: {told}" if asked else told)
    found = f"missing: {named_briefly(missing)}"
    if creates:
        return warn("topics", found, "RELAY_CREATE_TOPICS is set: the relay will make them")
    if not any(asked[name].events for name in missing):
        return warn("topics", f"{found}; nothing waits for them", "make them if more is to come")
    waiting = sum(asked[name].events for name in missing)
    advice = "make them, or set RELAY_CREATE_TOPICS; a misspelt name is mended in the writer"
    return fail("topics", f"{found}; {waiting:,} events wait for them", advice)


def _permitted(there: Mapping[str, Topic]) -> Finding:
    told = {name: one.operations for name, one in there.items() if one.operations is not None}
    if not told:
        return skip("acls", "the broker does not tell what this client may do")
    denied = [name for name, operations in told.items() if not {"WRITE", "ALL"} & operations]
    if denied:
        found = f"this client may not write to {named_briefly(denied)}"
        return fail("acls", found, "grant it WRITE and DESCRIBE on them (kafka-acls.sh)")
    return ok("acls", f"this client may write to {'all' if len(told) > 1 else 'it'}")


def _sizes(
    asked: Mapping[str, Demand], there: Mapping[str, Topic], client_max_bytes: int
) -> Finding:
    largest = max((one.largest_bytes for one in asked.values()), default=0)
    limits = {name: topic.number("max.message.bytes") for name, topic in there.items()}
    too_large = [
        f"{name} (takes {limit:,} bytes, {asked[name].largest_bytes:,} wait)"
        for name, limit in limits.items()
        if limit is not None and asked[name].largest_bytes + RECORD_OVERHEAD_BYTES > limit
    ]
    if too_large:
        advice = "raise the topic's max.message.bytes, then `relay parked retry`"
        return fail("message size", f"too large for {named_briefly(too_large)}", advice)
    if largest > client_max_bytes:
        found = (
            f"an event of {largest:,} bytes waits, and message.max.bytes is {client_max_bytes:,}"
        )
        return fail("message size", found, "raise RELAY_KAFKA_MESSAGE_MAX_BYTES")
    if there and all(limit is None for limit in limits.values()):
        return skip("message size", "the broker does not tell max.message.bytes")
    found = f"the largest event that waits has {largest:,} bytes; all limits are above"
    return ok("message size", found if largest else "nothing waits")


def _retention(asked: Mapping[str, Demand], there: Mapping[str, Topic]) -> Finding:
    kept = {name: topic.number("retention.ms") for name, topic in there.items()}
    short = [
        f"{name} (keeps {_span(kept_ms / 1_000)}, the backlog is {_span(asked[name].oldest_s)} old)"
        for name, kept_ms in kept.items()
        if kept_ms is not None and kept_ms != NEVER_MS
        if kept_ms / 1_000 < asked[name].oldest_s
    ]
    if short:
        return warn(
            "retention",
            f"shorter than the backlog is old: {named_briefly(short)}",
            "raise retention.ms: a consumer that is as far behind as the relay would lose records",
        )
    if there and all(one is None for one in kept.values()):
        return skip("retention", "the broker does not tell retention.ms")
    return ok("retention", "topics keep records for longer than the backlog is old")


def _replication(there: Mapping[str, Topic]) -> Finding:
    starved = [
        name
        for name, one in there.items()
        if one.in_sync < (one.number("min.insync.replicas") or 1)
    ]
    if starved:
        found = f"fewer replicas in sync than min.insync.replicas: {named_briefly(starved)}"
        return fail("replication", found, "bring the broker back: until then they take nothing")
    single = [
        name
        for name, one in there.items()
        if one.replicas > 1 and one.number("min.insync.replicas") == 1
    ]
    if single:
        found = f"min.insync.replicas is 1: {named_briefly(single)}"
        advice = "set it to 2: else an acknowledged event may lie on one broker alone"
        return warn("replication", found, advice)
    unclean = [
        name
        for name, one in there.items()
        if (one.settings or {}).get("unclean.leader.election.enable") == "true"
    ]
    if unclean:
        found = f"unclean.leader.election.enable: {named_briefly(unclean)}"
        return warn("replication", found, "set it to false: it drops acknowledged records")
    least = min((one.replicas for one in there.values()), default=0)
    if least == 1:
        found = "topics have one replica: with its broker the records are gone"
        return warn(
            "replication", found, "3 replicas, min.insync.replicas 2, unless this is a test"
        )
    return ok("replication", f"{least} replicas at the least" if least else "no topic to look at")


def _compaction(asked: Mapping[str, Demand], there: Mapping[str, Topic]) -> Finding:
    compacted = {
        name
        for name, topic in there.items()
        if "compact" in (topic.settings or {}).get("cleanup.policy", "")
    }
    refused = [name for name in compacted if asked[name].keyless]
    if refused:
        found = f"compacted, and events without a key are written to it: {named_briefly(refused)}"
        return fail("compaction", found, "give every event a key, or set cleanup.policy=delete")
    if there and all(topic.settings is None for topic in there.values()):
        return skip("compaction", "the broker does not tell cleanup.policy")
    return ok("compaction", f"compacted: {named_briefly(compacted)}" if compacted else "none is")


def _span(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:,.0f} s"
