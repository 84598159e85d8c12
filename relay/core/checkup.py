"""What `relay doctor` finds: one finding a check, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Verdict", "fail", "named_briefly", "ok", "skip", "warn"]

Verdict = Literal["OK", "WARN", "FAIL", "SKIP"]

NAMED_MAX = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    verdict  OK; WARN: it works, and something is worth knowing; FAIL: events are not published, or
             will not be, or can be lost; SKIP: it could not be looked at, and `found` says why
    advice   what to do; empty where there is nothing to do
    """

    check: str
    verdict: Verdict
    found: str
    advice: str = ""


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, "OK", found)


def warn(check: str, found: str, advice: str) -> Finding:
    """It works, and something is worth knowing."""
    return Finding(check, "WARN", found, advice)


def fail(check: str, found: str, advice: str) -> Finding:
    """Events are not published, or will not be, or can be lost."""
    return Finding(check, "FAIL", found, advice)


def skip(check: str, why: str) -> Finding:
    """It could not be looked at."""
    return Finding(check, "SKIP", why)


def named_briefly(names: Iterable[str]) -> str:
    """The first few of them, and how many more there are."""
    those: Sequence[str] = sorted(names)
    more = f" and {len(those) - NAMED_MAX:,} more" if len(those) > NAMED_MAX else ""
    return ", ".join(those[:NAMED_MAX]) + more
