"""The proof: the writers' ledger, the database, the log and the consumer must agree."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from relay.core.checker import Verdict
from relay.demo.ledger import Tally
from relay.demo.tables import Latency, Rows

_VIOLATIONS_SHOWN_MAX = 10


@dataclass(frozen=True, slots=True)
class Line:
    """One claim: what it is about, what was found, and whether that is as it must be.

    `holds` is None where there is nothing to be right or wrong.
    """

    claim: str
    found: str
    holds: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What was found, after the relay has drained and the log was read to its end.

    Attributes:
        runs: how many were asked for.
        tally: what the runners know to be committed.
        rows: what stands in the database, and what the consumer took.
        dropped: records that the consumer read and did not take.
        verdict: the checker's, over every record of the log.
        p50, p99: latency from an event's writing to its taking, by the database's clock.
        takeover_s: from the leader's death to the other's lease; None if it never came.
        postgres, broker: which were used.
    """

    runs: int
    tally: Tally
    rows: Rows
    dropped: int
    verdict: Verdict = field(repr=False)
    p50: Latency
    p99: Latency
    takeover_s: float | None
    postgres: str
    broker: str

    @property
    def holds(self) -> bool:
        """Whether every claim holds."""
        return all(line.holds is not False for line in self.lines())

    def lines(self) -> list[Line]:
        """Every claim, in the order in which an event goes its way."""
        return [*self._writing(), *self._publishing(), *self._consuming(), *self._circumstances()]

    def violations(self) -> list[str]:
        """The first of what the checker found, a sentence each."""
        found = self.verdict.violations[:_VIOLATIONS_SHOWN_MAX]
        return [f"{one.invariant}: {one.sentence}" for one in found]

    def to_dict(self) -> dict[str, Any]:
        """Give the proof as JSON values."""
        verdict = self.verdict
        return {
            "holds": self.holds,
            "runs": self.runs,
            "committed": self.rows.completions,
            "incidents": self.rows.incidents,
            "rolled_back": self.tally.rolled_back,
            "events": self.rows.events,
            "published_unique": verdict.published_unique,
            "consumed_once": self.rows.taken_unique,
            "duplicates": verdict.duplicates,
            "duplicates_dropped": self.dropped,
            "lost": verdict.lost,
            "phantoms": verdict.phantoms,
            "out_of_order": verdict.out_of_order,
            "stale_after_new": verdict.stale_after_new,
            "wrong_bytes": verdict.wrong_bytes,
            "wrong_partition": verdict.wrong_partition,
            "latency_ms": {"p50": _rounded(self.p50.overall), "p99": _rounded(self.p99.overall)},
            "latency_ms_until_kill": {
                "p50": _rounded(self.p50.until_kill),
                "p99": _rounded(self.p99.until_kill),
            },
            "takeover_seconds": self.takeover_s and round(self.takeover_s, 2),
            "postgres": self.postgres,
            "broker": self.broker,
            "violations": self.violations(),
        }

    def _writing(self) -> list[Line]:
        rows, tally = self.rows, self.tally
        return [
            Line(
                "runs committed",
                f"{rows.completions:,} of {self.runs:,}",
                rows.completions == tally.committed == self.runs,
            ),
            Line(
                "incidents, one for each run that did not succeed",
                f"{rows.incidents:,} of {tally.incidents:,}",
                rows.incidents == tally.incidents,
            ),
            Line(
                "events committed with them",
                f"{rows.events:,} of {tally.events:,}",
                rows.events == tally.events == self.verdict.committed,
            ),
        ]

    def _publishing(self) -> list[Line]:
        verdict = self.verdict
        changed = verdict.wrong_bytes + verdict.wrong_partition + verdict.split
        disordered = verdict.out_of_order + verdict.stale_after_new
        return [
            Line(
                "events in Kafka",
                f"{verdict.published_unique:,}",
                verdict.published_unique == self.rows.events,
            ),
            Line("lost", f"{verdict.lost:,}", not verdict.lost),
            Line(
                "phantoms",
                f"{verdict.phantoms:,} (rolled back transactions: {self.tally.rolled_back:,})",
                not verdict.phantoms,
            ),
            Line("out of order within their key", f"{disordered:,}", not disordered),
            Line("with other bytes, or in a wrong partition", f"{changed:,}", not changed),
        ]

    def _consuming(self) -> list[Line]:
        rows, duplicates = self.rows, self.verdict.duplicates
        return [
            Line(
                "events consumed exactly once",
                f"{rows.taken_unique:,} of {rows.events:,}",
                rows.taken == rows.taken_unique == rows.events,
            ),
            Line(
                "duplicates dropped by the inbox",
                f"{self.dropped:,} of {duplicates:,}",
                self.dropped == duplicates,
            ),
        ]

    def _circumstances(self) -> list[Line]:
        took_over = self.takeover_s is not None
        return [
            Line(
                "takeover after kill -9",
                f"{self.takeover_s:.1f} s" if self.takeover_s is not None else "never",
                took_over,
            ),
            Line(
                "latency p50 / p99, the takeover included",
                _pair(self.p50.overall, self.p99.overall),
            ),
            Line(
                "latency p50 / p99, until the kill",
                _pair(self.p50.until_kill, self.p99.until_kill),
            ),
            Line("database", self.postgres),
            Line("broker", self.broker),
        ]


def _pair(p50: float | None, p99: float | None) -> str:
    if p50 is None or p99 is None:
        return "no event"
    return f"{p50:,.0f} ms / {p99:,.0f} ms"


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 1)
