"""What lies between a process and its servers: time, and everything that can go wrong in it.

A request is three moments: it leaves, it is carried out, its reply arrives. The process may be
stopped or killed before each of them, the network may lose any, and a server may die between two.
So a commit whose reply never came, and a request that is carried out when nobody waits for it any
more, are not cases here: they happen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TypeVar, cast

from relay.errors import RelayError, Unreachable
from tests.model.fake_postgres import FakePostgres
from tests.simulation.scheduler import Machine, Reply, Scheduler

__all__ = ["SILENCE_MAX_S", "Line", "Server", "Weather", "remote"]

T = TypeVar("T")
Port = TypeVar("Port")

SILENCE_MAX_S = 10.0
"""After this a connection of the relay counts as lost."""


@dataclass
class Weather:
    """How the network is at present.

    Attributes:
        delay_s: what a message takes, on the average.
        stall_share: of how many messages one takes seconds.
        loss_share: of how many one is lost, and its connection with it.
        hiccup_share: of how many requests the process is not scheduled for a while just before.
    """

    delay_s: float = 0.01
    stall_share: float = 0.0
    loss_share: float = 0.0
    hiccup_share: float = 0.0

    def transit_s(self, chance: Random) -> float:
        """How long this message takes."""
        if self.stall_share and chance.random() < self.stall_share:
            return chance.uniform(1.0, chance.choice((3.0, 20.0)))
        return self.delay_s * (0.5 + chance.random())

    def loses(self, chance: Random) -> bool:
        """Whether this message is lost."""
        return bool(self.loss_share) and chance.random() < self.loss_share

    def hiccup_s(self, chance: Random) -> float:
        """For how long the process does not run before it goes on."""
        if self.hiccup_share and chance.random() < self.hiccup_share:
            return chance.expovariate(1.0)
        return 0.0


class Server:
    """The database's machine: up or down, and its clock is the simulation's."""

    def __init__(self, scheduler: Scheduler, database: FakePostgres) -> None:
        self._scheduler = scheduler
        self._database = database
        self._begins_s = database.now_s
        self.up = True

    @property
    def database(self) -> FakePostgres:
        """The server that answers now; raises Unreachable while none does."""
        if not self.up:
            raise Unreachable("database: connection refused")
        self._database.now_s = self._begins_s + self._scheduler.now_s
        return self._database


class Line:
    """The way from one process to the database.

    Attributes:
        cut: nothing comes through in either direction, and nobody is told.
        replies_late_s: how much later replies arrive than they would.
    """

    def __init__(self, machine: Machine, server: Server, weather: Weather, chance: Random) -> None:
        self._machine = machine
        self._server = server
        self._weather = weather
        self._chance = chance
        self._awaited: list[Reply] = []
        self.cut = False
        self.replies_late_s = 0.0

    def call(self, request: Callable[[], T], timeout_s: float) -> T:
        """Have `request` carried out at the server; its result, or what it raised.

        Raises Unreachable after `timeout_s`, or when the connection is lost: then it is not known
        whether it was, or will be, carried out.
        """
        if hiccup_s := self._weather.hiccup_s(self._chance):
            self._machine.sleep(hiccup_s)
        reply = Reply()
        self._awaited.append(reply)
        # Through the process's own queue: stopped now, it sends when it runs again.
        self._machine.after(0.0, lambda: self._send(lambda: self._carry_out(request, reply)))
        came = self._machine.await_reply(reply, timeout_s)
        self._awaited.remove(reply)
        if not came:
            raise Unreachable("database: no answer in time")
        return cast(T, reply.result())

    def heal(self) -> None:
        """All is well again."""
        self.cut, self.replies_late_s = False, 0.0

    def reset(self) -> None:
        """The connections end, as seen from here; what has left arrives all the same."""
        for reply in list(self._awaited):
            reply.come(problem=Unreachable("database: connection reset"))

    def _carry_out(self, request: Callable[[], object], reply: Reply) -> None:
        try:
            self._server.database  # noqa: B018 - raises while the server is down
            result, problem = request(), None
        except RelayError as raised:
            result, problem = None, raised
        self._send(lambda: reply.come(result, problem), self.replies_late_s)

    def _send(self, arrive: Callable[[], object], late_s: float = 0.0) -> None:
        """By the wire: it is under way whatever becomes of the process."""
        if self.cut or self._weather.loses(self._chance):
            return
        transit_s = self._weather.transit_s(self._chance) + late_s
        self._machine.scheduler.after(transit_s, arrive)


def remote(line: Line, port: Port, timeout_s: float = SILENCE_MAX_S) -> Port:
    """`port` as a process has it: each call goes over the network and back."""
    return cast(Port, _Remote(line, port, timeout_s))


class _Remote:
    def __init__(self, line: Line, port: object, timeout_s: float) -> None:
        self._line = line
        self._port = port
        self._timeout_s = timeout_s

    def __getattr__(self, name: str) -> Callable[..., object]:
        method = getattr(self._port, name)
        return lambda *given, **named: self._line.call(
            partial(method, *given, **named), self._timeout_s
        )
