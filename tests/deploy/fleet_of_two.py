"""Two relays as Prometheus sees them: `a` leads, `b` stands by, and all is well.

A figure is a function of time (seconds since the world began), so that a test says only what is
other than well. None: the relay is not scraped then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.deploy.rules import RULE_FILES, groups, promtool

Figure = Callable[[float], float | None]
Changes = Mapping[str, Figure | tuple[Figure, Figure]]

DAY_S = 86_400.0


def always(value: float) -> Figure:
    """It never changes."""
    return lambda _: value


def until(end_s: float, then: Figure, before: Figure) -> Figure:
    """`before`, and from `end_s` on `then`."""
    return lambda t: before(t) if t < end_s else then(t)


def between(start_s: float, end_s: float, meanwhile: Figure, else_: Figure) -> Figure:
    """`meanwhile` from start to end, and otherwise `else_`."""
    return lambda t: meanwhile(t) if start_s <= t < end_s else else_(t)


def stuck(at_s: float, figure: Figure) -> Figure:
    """It stays what it was at that moment."""
    return lambda t: figure(min(t, at_s))


def every(seconds: float) -> Figure:
    """A counter that rises by one so often."""
    return lambda t: float(t // seconds)


def now(t: float) -> float:
    """A timestamp of this moment."""
    return t


def rate(per_s: float) -> Figure:
    """A counter that rises so fast."""
    return lambda t: per_s * t


WELL: Mapping[str, tuple[Figure, Figure]] = {
    "up": (always(1), always(1)),
    "outbox_leading": (always(1), always(0)),
    "outbox_database_up": (always(1), always(1)),
    # A standby need not have heard of a broker.
    "outbox_broker_up": (always(1), always(0)),
    "outbox_heartbeat_timestamp_seconds": (now, now),
    "outbox_published_events_total": (rate(100), always(0)),
    "outbox_parked_events_total": (always(0), always(0)),
    "outbox_fenced_total": (always(0), always(0)),
    "outbox_takeovers_total": (always(1), always(0)),
    # Both look at the database, a standby as well.
    "outbox_oldest_pending_timestamp_seconds": (now, now),
    "outbox_parked_events": (always(0), always(0)),
    "outbox_held_keys": (always(0), always(0)),
    "outbox_oldest_transaction_start_timestamp_seconds": (always(0), always(0)),
    "outbox_xmin_horizon_age_transactions": (always(3), always(3)),
    "outbox_ring_bytes": (always(2e9), always(2e9)),
    "outbox_ring_leaves_in_use": (always(7), always(7)),
    "outbox_retention_oldest_kept_timestamp_seconds": (
        lambda t: max(0.0, t - DAY_S),
        lambda t: max(0.0, t - DAY_S),
    ),
}


@dataclass(frozen=True)
class World:
    """What is other than well, by metric: of both relays, or of each.

    minutes  how long it lasts
    step_s   how often relays are scraped and rules evaluated
    outbox   the label; none where there is only one outbox
    """

    minutes: float
    changes: Changes = field(default_factory=dict)
    step_s: int = 30
    outbox: str = ""
    job: str = "outbox-relay"

    def series(self) -> list[dict[str, str]]:
        """As promtool takes them."""
        figures = {**WELL, **self.changes}
        return [
            {"series": self._name(metric, instance), "values": self._values(figure)}
            for metric, both in figures.items()
            for instance, figure in zip(
                "ab", both if isinstance(both, tuple) else (both, both), strict=True
            )
        ]

    def _name(self, metric: str, instance: str) -> str:
        outbox = f',outbox="{self.outbox}"' if self.outbox and metric != "up" else ""
        return f'{metric}{{job="{self.job}",instance="{instance}"{outbox}}}'

    def _values(self, figure: Figure) -> str:
        found = [figure(t) for t in range(0, int(self.minutes * 60) + 1, self.step_s)]
        # A series that ends is marked, as Prometheus does after a scrape that failed.
        told = [_told(value, before) for before, value in pairwise([None, *found])]
        return " ".join(told)


def _told(value: float | None, before: float | None) -> str:
    if value is not None:
        return f"{value:g}" if value < 1e5 else f"{value:.0f}"
    return "_" if before is None else "stale"


Fired = Mapping[str, str]
"""An alert that fired, as its labels `alertname` and `outbox`."""


def assert_fires(fired: list[Fired], folder: Path, *worlds: World) -> None:
    """Just these alerts fire, at whatever time, in the worlds, which last equally long."""
    world = worlds[0]
    expected = [{"labels": _labels(one), "value": 1} for one in fired]
    ever = 'group by (alertname, outbox) (last_over_time(ALERTS{alertstate="firing"}[30d]))'
    last = {"expr": ever, "eval_time": f"{int(world.minutes * 60)}s", "exp_samples": expected}
    case: dict[str, Any] = {
        "interval": f"{world.step_s}s",
        "input_series": [one for each in worlds for one in each.series()],
        "promql_expr_test": [last],
    }
    file = folder / "world.yaml"
    told = {
        "rule_files": [str(one) for one in RULE_FILES],
        "evaluation_interval": f"{world.step_s}s",
        # Else promtool takes them in any order, and a long step makes what was recorded stale.
        "group_eval_order": [group["name"] for group in groups()],
        "tests": [case],
    }
    # YAML takes JSON, which is written a hundred times as fast.
    file.write_text(json.dumps(told))
    promtool("test", "rules", str(file))


def _labels(fired: Fired) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in fired.items() if value) + "}"
