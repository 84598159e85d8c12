"""Within which budget work is tried again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity

from coordinator.engine.awaiting import pause

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """How long the same work is tried again.

    Attributes:
        attempts_max: the first one included.
        total_s: seconds from the start of the first attempt; none is started later.
        wait_first_s, wait_max_s: bounds of the pause; it doubles, and its length is random below
            the bound, so that two that met in a deadlock do not meet again.
    """

    attempts_max: int = 40
    total_s: float = 15.0
    wait_first_s: float = 0.02
    wait_max_s: float = 2.0

    def spend(self, work: Callable[[], Answer], again: Callable[[BaseException], bool]) -> Answer:
        """Return what `work` returns; call it again after errors that `again` accepts.

        Raises:
            BaseException: the error of the last attempt, as it is.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(again),
            stop=tenacity.stop_after_attempt(self.attempts_max)
            | tenacity.stop_before_delay(self.total_s),
            wait=tenacity.wait_random_exponential(self.wait_first_s, max=self.wait_max_s),
            sleep=pause,
            reraise=True,
        )
        return retrying(work)
