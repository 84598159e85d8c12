"""Whether the events of a commit have reached Kafka: what a result can be asked, and who answers.

A result knows whom to ask beside its fields, not in one: what is compared, printed, copied or sent
elsewhere is what was committed, and no connection travels with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import Protocol, Self

from coordinator.errors import BadInput, WrongUse

# Without load an event is out after 20 to 50 ms, so the first looks are close together. Later ones
# are for a broker that is away: one a fifth of a second costs the database nothing.
PAUSE_FIRST_S = 0.005
PAUSE_MAX_S = 0.2


class Publication(Protocol):
    """Answers for one commit."""

    def wait(self, timeout_s: float) -> bool:
        """Tell whether its events are published, at the latest after `timeout_s`."""

    async def wait_async(self, timeout_s: float) -> bool:
        """Tell the same, and leave the event loop free meanwhile."""


class Publishable:
    """A result that can be asked whether its events have reached Kafka."""

    __slots__ = ("_publication",)

    _publication: Publication

    def wait_published(self, timeout_s: float) -> bool:
        """Wait until Kafka has acknowledged every event of this commit.

        It asks the relay's cursor, on a connection of its own for each look: one statement, again
        after 5 ms, and ever less often, down to five times a second. The cursor moves on by whole
        windows, so the answer can come later than the event: behind a large backlog, by the time
        that it takes.

        Args:
            timeout_s: seconds, 0 or more; 0 looks once.

        Returns:
            True when all is out; at once where there were no events. False where that is not known
            within `timeout_s`: no relay runs, an event was set aside, the transaction was joined
            and is not committed yet or was rolled back, its record was deleted, or the database
            was restored elsewhere, where transaction ids mean nothing. The events are safe all the
            same.

        Raises:
            BadInput: `timeout_s` is not a number of seconds.
            WrongUse: the result was not made by a coordinator on an outbox, but read from a dict,
                copied, or of a publisher of your own; or the engine is asynchronous.
            sqlalchemy.exc.SQLAlchemyError: the database could not be asked.
        """
        published = self._asked(timeout_s).wait(timeout_s)
        return self._heard(published)

    async def await_published(self, timeout_s: float) -> bool:
        """Wait as `wait_published` does, without blocking the event loop.

        A synchronous engine is asked in a thread, so it serves both.
        """
        published = await self._asked(timeout_s).wait_async(timeout_s)
        return self._heard(published)

    def known_by(self, publication: Publication) -> Self:
        """Have `publication` answer for this result, and return it; for those who make results."""
        object.__setattr__(self, "_publication", publication)
        return self

    def _asked(self, timeout_s: float) -> Publication:
        if not 0 <= timeout_s < float("inf"):
            raise BadInput("timeout_s", "must be a number of seconds, 0 or more")
        publication: Publication | None = getattr(self, "_publication", None)
        if publication is None:
            raise WrongUse(
                "this result does not know where its events are: ask the one that run(), execute() "
                "or join() returned; calling them again returns one too"
            )
        return publication

    def _heard(self, published: bool) -> bool:
        return published


def pauses(timeout_s: float) -> Iterator[float]:
    """Yield the seconds before each look: the first at once, the last when `timeout_s` is over."""
    deadline_s = monotonic() + timeout_s
    yield 0.0
    pause_s = PAUSE_FIRST_S
    while (left_s := deadline_s - monotonic()) > 0:
        yield min(pause_s, left_s)
        pause_s = min(2 * pause_s, PAUSE_MAX_S)
