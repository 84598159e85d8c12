"""What this process shows of its outboxes: one look for the page and the metrics, whoever leads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from importlib.metadata import version

from relay.core.vitals import Facts, why_not_alive, why_not_ready
from relay.daemon.lookout import Lookout
from relay.observe.http import PLAIN, Reply, Routes
from relay.observe.metrics import CONTENT_TYPE, Metrics
from relay.observe.page import answers
from relay.observe.page.watched import Watched
from relay.observe.vitals import AllVitals
from relay.outboxes import Outbox

__all__ = ["Watch"]


class Watch:
    """The outboxes of this process, looked at until `stopping`."""

    def __init__(
        self,
        relay: str,
        outboxes: Iterable[Outbox],
        vitals: AllVitals,
        clock: Callable[[], float],
        wall: Callable[[], float],
        stopping: threading.Event,
    ) -> None:
        """`relay` is this process's name among all: the beginning of the owner's in the lease.

        `clock` is monotonic, `wall` in seconds since 1970.
        """
        self._relay = relay
        self._clock = clock
        self._vitals = vitals
        self._watched: list[Watched] = []
        self._lookouts: list[Lookout] = []
        for one in outboxes:
            of_it = vitals.of(one.name)
            known = Watched(one.name, of_it.broker_away)
            asks = of_it.ask_broker
            self._watched.append(known)
            self._lookouts.append(
                Lookout(one.name, one.address, clock, stopping, known.saw, known.missed, asks)
            )
        pairs = [(vitals.of(one.name), one) for one in self._watched]
        self._metrics = Metrics(version("outbox-relay"), pairs, clock, wall)

    def start(self) -> None:
        """Begin to look."""
        for one in self._lookouts:
            one.start()

    @property
    def routes(self) -> Routes:
        """What is answered where."""
        page = Reply("text/html; charset=utf-8", answers.document(), answers.document_headers())
        return {
            "/": lambda: page,
            "/status.json": self._status,
            "/livez": lambda: self._probe("alive", why_not_alive),
            "/readyz": lambda: self._probe("ready", why_not_ready),
            "/metrics": lambda: Reply(CONTENT_TYPE, self._metrics.text()),
        }

    def _status(self) -> Reply:
        body = answers.status_json(self._relay, self._watched, self._clock())
        return Reply("application/json", body)

    def _probe(self, well: str, why_not: Callable[[Facts, float], str | None]) -> Reply:
        """`well`, or 503; and a line for each outbox, in ASCII: a reason may hold anything."""
        now_s, lines, status = self._clock(), [], HTTPStatus.OK
        for one in self._vitals:
            problem = why_not(one.facts, now_s)
            if problem is not None:
                status = HTTPStatus.SERVICE_UNAVAILABLE
            said = problem or one.does or "not begun"
            lines.append(f"{one.name}: {said}" if one.name else said)
        lines.insert(0, well if status is HTTPStatus.OK else f"not {well}")
        escaped = [line.encode("unicode_escape").decode() for line in lines]
        return Reply(PLAIN, "".join(f"{line}\n" for line in escaped).encode(), status=status)
