"""What the commands end with: those of sysexits.h, where one fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["EXIT_CODES"]

EXIT_CODES: Final[Mapping[int, str]] = {
    0: "done",
    1: "failed, or a check or proof did not hold",
    2: "a mistake on the command line",
    69: "database or broker cannot be reached",
    70: "a bug: an invariant is broken",
    75: "not finished: run it again, as the message says",
    78: "bad configuration or unfit database: no restart heals it",
}
