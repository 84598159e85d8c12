"""What /metrics says: every name, with its unit and help, in one place.

Times are told as timestamps and not as ages, so that one that stands still ages by itself, and 0
where there is none. The only labels are the outbox, empty where there is one, and a reason out of a
fixed set: no number of keys or topics makes a series more.

What the process itself counted begins at nothing with each start. What a look at the database found
is the same on every relay; it stays as it was while no look succeeds (`outbox_database_up`), and is
absent before the first. Nothing is asked for a scrape: it reads what is known already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from relay.core.board import Board
from relay.core.status import Status
from relay.observe.histogram import Histogram
from relay.observe.page.watched import Watched
from relay.observe.vitals import Client, Vitals

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


@dataclass(frozen=True, slots=True)
class _Seen:
    """One outbox at the moment of a scrape; the board is of the newest look, at `board_at_s`."""

    vitals: Vitals
    board: Board | None
    board_at_s: float
    now_s: float
    wall_s: float

    def timestamp(self, monotonic_s: float | None) -> float:
        """A moment, in seconds since 1970; 0 if there was none."""
        return 0.0 if monotonic_s is None else self.wall_s - (self.now_s - monotonic_s)

    def ago(self, age_s: float | None) -> float:
        """What had this age when the board was made."""
        return 0.0 if age_s is None else self.timestamp(self.board_at_s - age_s)


OfVitals = Callable[[Vitals], float]
OfStatus = Callable[[Status, _Seen], float]

_COUNTED: tuple[tuple[str, str, OfVitals], ...] = (
    (
        "outbox_published_events",
        "Events that the broker acknowledged to this relay.",
        lambda one: one.published_events,
    ),
    (
        "outbox_published_bytes",
        "Bytes of their payloads.",
        lambda one: one.published_bytes,
    ),
    (
        "outbox_parked_events",
        "Events that this relay set aside: refused, or behind one that was.",
        lambda one: one.parked_events,
    ),
    (
        "outbox_lease_lost",
        "Terms that ended against this relay's will: it could not renew the lease in time.",
        lambda one: one.leases_lost,
    ),
    (
        "outbox_fenced",
        "Times that this relay was refused, since a later term had begun.",
        lambda one: one.fenced,
    ),
    (
        "outbox_takeovers",
        "Times that this relay began to lead.",
        lambda one: one.takeovers,
    ),
)

_REPORTED: tuple[tuple[str, str, OfVitals], ...] = (
    ("outbox_leading", "Whether this relay leads: 1 or 0.", lambda one: one.leading),
    (
        "outbox_in_flight_events",
        "Events handed to the broker's client whose page is not acknowledged yet.",
        lambda one: _of(one.client, lambda client: client.in_flight[0]),
    ),
    (
        "outbox_in_flight_bytes",
        "Bytes of their payloads.",
        lambda one: _of(one.client, lambda client: client.in_flight[1]),
    ),
    (
        "outbox_client_queue_events",
        "Records in the client's queues, sent or not, without an outcome.",
        lambda one: _of(one.client, lambda client: client.queued),
    ),
    (
        "outbox_database_up",
        "Whether the database answered the last request for the lease: 1 or 0.",
        lambda one: one.database_up,
    ),
    (
        "outbox_broker_up",
        "Whether a broker answered when this relay last heard of one: 1 or 0.",
        lambda one: _of(one.client, lambda client: bool(client.broker_up)),
    ),
)

_LOOKED_UP: tuple[tuple[str, str, OfStatus], ...] = (
    (
        "outbox_pending_events",
        "Committed events that are neither published nor set aside, counted up to 1,000,000.",
        lambda status, _: status.pending,
    ),
    (
        "outbox_pending_is_at_least",
        "Whether there are more pending events than were counted: 1 or 0.",
        lambda status, _: status.pending_is_at_least,
    ),
    (
        "outbox_oldest_pending_timestamp_seconds",
        "When the oldest pending event was written; 0 when none is pending.",
        lambda status, seen: seen.ago(status.oldest_pending_seconds) if status.pending else 0.0,
    ),
    (
        "outbox_parked_events",
        "Events that are set aside and wait for a decision, or for their topic.",
        lambda status, _: status.parked,
    ),
    (
        "outbox_held_keys",
        "Keys and whole topics whose events are held back.",
        lambda status, _: status.held,
    ),
    (
        "outbox_oldest_transaction_start_timestamp_seconds",
        "Begin of the oldest transaction open for 10 s that holds the outbox's tables; 0 if none.",
        lambda status, seen: max(
            (seen.ago(one.age_seconds) for one in status.blockers.named[:1]), default=0.0
        ),
    ),
    (
        "outbox_ring_bytes",
        "Size of the tables of events with their indexes, published events included.",
        lambda status, _: status.retained.ring_bytes,
    ),
    (
        "outbox_ring_leaves_in_use",
        "Tables of events that are not empty, of 8.",
        lambda status, _: status.retained.leaves_in_use,
    ),
    (
        "outbox_retention_oldest_kept_timestamp_seconds",
        "When the oldest event that is still kept was written; 0 when there is none.",
        lambda status, seen: seen.ago(status.retained.oldest_kept_seconds),
    ),
)


class Metrics:
    """Those of all outboxes of this process."""

    def __init__(
        self,
        version: str,
        outboxes: Iterable[tuple[Vitals, Watched]],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        """`version` is the relay's; `clock` is monotonic, `wall` in seconds since 1970."""
        self._version = version
        self._outboxes = tuple(outboxes)
        self._clock = clock
        self._wall = wall

    def text(self) -> bytes:
        """In Prometheus' text format (CONTENT_TYPE)."""
        return generate_latest(self)

    def collect(self) -> Iterator[Metric]:
        """For prometheus_client."""
        seen = [self._seen(vitals, watched) for vitals, watched in self._outboxes]
        build = GaugeMetricFamily("outbox_build_info", "The version; always 1.", labels=["version"])
        build.add_metric([self._version], 1.0)
        yield build
        for name, help_text, counted in _COUNTED:
            yield _counter(name, help_text, seen, counted)
        yield _failures(seen)
        for name, help_text, reported in _REPORTED:
            yield _gauge(name, help_text, ((one, reported(one.vitals)) for one in seen))
        yield from _moments(seen)
        yield from _looked_up(seen)
        yield from _durations(seen)

    def _seen(self, vitals: Vitals, watched: Watched) -> _Seen:
        board, at_s = watched.newest
        return _Seen(vitals, board, at_s, self._clock(), self._wall())


def _moments(seen: list[_Seen]) -> Iterator[Metric]:
    yield _gauge(
        "outbox_term",
        "The newest term of office that this relay knows of.",
        ((one, _term(one)) for one in seen),
    )
    yield _gauge(
        "outbox_last_success_timestamp_seconds",
        "When the broker last acknowledged a page of this relay; 0 if it never did.",
        ((one, one.timestamp(one.vitals.published_at_s)) for one in seen),
    )
    yield _gauge(
        "outbox_heartbeat_timestamp_seconds",
        "When the publishing loop last got on.",
        ((one, one.timestamp(one.vitals.beaten_at_s)) for one in seen),
    )


def _looked_up(seen: list[_Seen]) -> Iterator[Metric]:
    found = [(one, one.board) for one in seen if one.board is not None]
    for name, help_text, figure in _LOOKED_UP:
        yield _gauge(name, help_text, ((one, figure(board.status, one)) for one, board in found))
    yield _gauge(
        "outbox_xmin_horizon_age_transactions",
        "Transactions begun since the oldest that has written anything and is open still.",
        ((one, board.horizon_age) for one, board in found),
    )


def _durations(seen: list[_Seen]) -> Iterator[Metric]:
    yield _histogram(
        "outbox_publish_duration_seconds",
        "From handing over a page to its acknowledgement.",
        ((one.vitals.name, one.vitals.publish) for one in seen),
    )
    yield _histogram(
        "outbox_commit_to_ack_seconds",
        "From the writing of the first event of a page to the acknowledgement of the page.",
        ((one.vitals.name, one.vitals.commit_to_ack) for one in seen),
    )


def _term(one: _Seen) -> float:
    return max(one.vitals.term, one.board.status.term if one.board else 0)


def _failures(seen: list[_Seen]) -> Metric:
    family = CounterMetricFamily(
        "outbox_publish_failures",
        "Pages that were not acknowledged: in_doubt, refused, awaited.",
        labels=["outbox", "reason"],
    )
    for one in seen:
        for reason, count in one.vitals.failures.items():
            family.add_metric([one.vitals.name, reason], count)
    return family


def _counter(name: str, help_text: str, seen: list[_Seen], counted: OfVitals) -> Metric:
    family = CounterMetricFamily(name, help_text, labels=["outbox"])
    for one in seen:
        family.add_metric([one.vitals.name], counted(one.vitals))
    return family


def _gauge(name: str, help_text: str, figures: Iterable[tuple[_Seen, float]]) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=["outbox"])
    for one, figure in figures:
        family.add_metric([one.vitals.name], float(figure))
    return family


def _histogram(name: str, help_text: str, counted: Iterable[tuple[str, Histogram]]) -> Metric:
    family = HistogramMetricFamily(name, help_text, labels=["outbox"])
    for outbox, histogram in counted:
        family.add_metric([outbox], histogram.buckets(), histogram.sum_s)
    return family


def _of(client: Client | None, figure: Callable[[Client], float]) -> float:
    return 0.0 if client is None else figure(client)
