"""What this process can show of its outboxes: one lookout for each, whoever leads it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from relay.daemon.lookout import Lookout
from relay.observe.page.answers import status_json
from relay.observe.page.watched import Watched
from relay.outboxes import Outbox

__all__ = ["Watch"]


class Watch:
    """The outboxes of this process, looked at until `stopping`."""

    def __init__(
        self,
        relay: str,
        outboxes: Iterable[Outbox],
        clock: Callable[[], float],
        stopping: threading.Event,
    ) -> None:
        """`relay` is this process's name among all: the beginning of the owner's in the lease."""
        self._relay = relay
        self._clock = clock
        self._watched: list[Watched] = []
        self._lookouts: list[Lookout] = []
        for one in outboxes:
            known = Watched(one.name)
            self._watched.append(known)
            self._lookouts.append(
                Lookout(one.name, one.address, clock, stopping, known.saw, known.missed)
            )

    def start(self) -> None:
        """Begin to look."""
        for one in self._lookouts:
            one.start()

    def status(self) -> bytes:
        """What /status.json says now."""
        return status_json(self._relay, self._watched, self._clock())
