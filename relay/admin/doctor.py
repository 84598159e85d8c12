"""Every check of `relay doctor`, whatever came of those before.

Naive: check one thing after the other, and stop at the first that fails. Then somebody mends one
thing a quarter of an hour, at night. So a check that fails, or cannot be made, is a finding like
another, and only what needs a connection that is not there is skipped, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from relay.address import Address
from relay.core.checkup import Finding, fail, ok, skip
from relay.core.outbox_checks import outbox_checks
from relay.core.server_checks import server_checks
from relay.core.topic_checks import Demand, topic_checks
from relay.daemon.clock import monotonic_s, wall_s
from relay.errors import RelayError
from relay.kafka.examiner import BrokerExaminer
from relay.kafka.properties import Properties
from relay.postgres.cluster import check_schema, refuse_hazards, refuse_unentered_copy
from relay.postgres.connect import Connection, connect
from relay.postgres.examiner import read_demands, read_server, unmet_privileges
from relay.postgres.status_reader import read_status

__all__ = ["Patient", "examined"]

OF_THE_SERVER = ("primary", "settings", "durability", "connections", "pooler", "clock")
OF_THE_OUTBOX = ("leader", "lag", "parked", "transactions", "ring")
OF_THE_TOPICS = ("topics", "acls", "message size", "retention", "replication", "compaction")
MIGRATE = "as the schema's owner; `relay migrate --sql` shows what it would do"
AS_IT_SAYS = "each line ends with what mends it"
LEAD_FIRST = "RELAY_DATABASE_URL may name the wrong server; else start a relay on it"


@dataclass(frozen=True, slots=True)
class Patient:
    """What is looked at.

    address     is asked for where the outbox is
    properties  of the producer; None where the configuration is not complete
    creates     the relay makes topics that are missing
    listening   writers are to wake it
    """

    address: Callable[[], Address]
    properties: Properties | None
    creates: bool
    listening: bool


def examined(patient: Patient) -> Iterator[Finding]:
    """Each finding as soon as it is there."""
    demands: list[Demand] = []
    try:
        connection = connect(patient.address(), "doctor")
    except RelayError as problem:
        yield fail(
            "database", str(problem), "does the server run, and is RELAY_DATABASE_URL right?"
        )
        never = "the database was not reached"
        yield from _skipped(("privileges", "schema", "safety", "restored"), never)
        yield from _skipped((*OF_THE_SERVER, *OF_THE_OUTBOX), never)
    else:
        with closing(connection):
            yield from _database(connection, listening=patient.listening)
            yield from _outbox(connection)
            yield from _guarded(("events",), lambda: _asked(connection, demands))
    yield from _broker(patient, demands)


def _database(connection: Connection, *, listening: bool) -> Iterator[Finding]:
    def server() -> Iterator[Finding]:
        found = read_server(connection, wall_s, monotonic_s)
        latency = f"an answer takes {found.latency_s * 1_000:,.1f} ms"
        yield ok("database", f"PostgreSQL {found.version} as {found.user}, {latency}")
        yield from server_checks(found, listening=listening)

    yield from _guarded(("database", *OF_THE_SERVER), server)
    yield from _guarded(("privileges",), lambda: _privileges(connection))
    for check, look, well, advice in (
        ("schema", check_schema, "of a version that this relay serves", MIGRATE),
        ("safety", refuse_hazards, "nothing lets the cursor miss or reorder events", AS_IT_SAYS),
        ("restored", refuse_unentered_copy, "its log speaks of this cluster", LEAD_FIRST),
    ):
        yield from _guarded((check,), partial(_raising, connection, check, look, well, advice))


def _outbox(connection: Connection) -> Iterator[Finding]:
    yield from _guarded(OF_THE_OUTBOX, lambda: outbox_checks(read_status(connection)))


def _privileges(connection: Connection) -> Iterator[Finding]:
    missing = unmet_privileges(connection)
    if missing:
        advice = "`relay migrate --roles` as the owner, then GRANT outbox_relay to this role"
        yield fail("privileges", f"missing: {', '.join(missing)}", advice)
    else:
        yield ok("privileges", "all that `relay run` needs")


def _asked(connection: Connection, demands: list[Demand]) -> Iterator[Finding]:
    demands += read_demands(connection)
    yield from ()


def _broker(patient: Patient, demands: Iterable[Demand]) -> Iterator[Finding]:
    if patient.properties is None:
        yield from _skipped(("broker", *OF_THE_TOPICS, "partitioner"), "the configuration is wrong")
        return
    properties = patient.properties
    examiner = BrokerExaminer(properties, monotonic_s)
    try:
        brokers, latency_s = examiner.reach()
    except RelayError as problem:
        advice = "does it run, and is RELAY_KAFKA_BOOTSTRAP_SERVERS right, with TLS and SASL?"
        yield fail("broker", str(problem), advice)
        yield from _skipped(OF_THE_TOPICS, "the broker was not reached")
    else:
        yield ok("broker", f"{_brokers(brokers)}; an answer takes {latency_s * 1_000:,.1f} ms")
        yield from _guarded(OF_THE_TOPICS, lambda: _topics(examiner, patient, properties, demands))
    yield ok("partitioner", f"{properties['partitioner']}: keys go where the Java client puts them")


def _brokers(count: int) -> str:
    return "1 broker" if count == 1 else f"{count} brokers"


def _topics(
    examiner: BrokerExaminer, patient: Patient, properties: Properties, demands: Iterable[Demand]
) -> Iterator[Finding]:
    there = examiner.topics(one.topic for one in demands)
    client_max = int(properties["message.max.bytes"])
    yield from topic_checks(demands, there, client_max, creates=patient.creates)


def _raising(
    connection: Connection, check: str, look: Callable[[Connection], None], well: str, advice: str
) -> Iterator[Finding]:
    """A check that `relay run` makes, too, and that raises when it is not passed."""
    try:
        look(connection)
    except RelayError as problem:
        yield fail(check, str(problem), advice)
    else:
        yield ok(check, well)


def _guarded(names: tuple[str, ...], checks: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """The findings; and where they break off, why, and which are missing."""
    made = set()
    try:
        for finding in checks():
            made.add(finding.check)
            yield finding
    except Exception as problem:  # noqa: BLE001 - a check that breaks must not hide the others
        # The text of an error that is not ours may quote what it should not.
        said = str(problem) if isinstance(problem, RelayError) else type(problem).__name__
        first, *rest = (name for name in names if name not in made)
        yield fail(first, f"it could not be checked: {said}", "mend that, and look again")
        yield from _skipped(rest, f"it is looked at together with {first}")


def _skipped(names: Iterable[str], why: str) -> Iterator[Finding]:
    return (skip(name, why) for name in names)
