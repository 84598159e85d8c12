"""Times on the command line: when it was, or how long ago."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from relay.settings import SECONDS

__all__ = ["Moment", "MomentType", "shown"]


@dataclass(frozen=True, slots=True)
class Moment:
    """Seconds since 1970, or seconds before now; one of the two."""

    at_s: float | None = None
    ago_s: float = 0.0

    def resolved(self, now_s: float) -> float:
        """Seconds since 1970, where `now_s` is the database's clock."""
        return now_s - self.ago_s if self.at_s is None else self.at_s


class MomentType(click.ParamType[Moment]):
    """`2026-11-24T10:00:00Z`, with an offset or in UTC; or an age, such as 90s, 15m, 2h, 7d."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, Moment):
            return value
        if found := re.fullmatch(r"(\d{1,9})([smhd])", str(value)):
            return Moment(ago_s=float(int(found[1]) * SECONDS[found[2]]))
        try:
            at = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(
                "is neither a time (2026-11-24T10:00:00Z) nor an age (90s, 15m, 2h, 7d)", param, ctx
            )
        return Moment((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def shown(at_s: float) -> str:
    """As it is typed: UTC, rounded down to the microsecond."""
    return datetime.fromtimestamp(at_s, UTC).isoformat().replace("+00:00", "Z")
